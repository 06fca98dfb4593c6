"""Save a model, its tokenizer and its image processor in one folder."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from robench_plugins.make_weights.zero_shot import Normalization


def save_checkpoint(output: Path, model: CLIPModel, tokenizer: CLIPTokenizer, normalization: Normalization) -> None:
    """Write the layout of ``save_pretrained`` with float16 weights; load them with ``dtype=torch.float32``.

    Files are written next to `output` and then moved there, so that it always has a whole model. Other files in it,
    such as a README, stay.
    """
    side = model.config.vision_config.image_size
    half = copy.deepcopy(model).half()
    half.set_attn_implementation("sdpa")
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    half.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    CLIPImageProcessor(
        size={"height": side, "width": side},
        crop_size={"height": side, "width": side},
        do_center_crop=False,
        image_mean=list(normalization.mean),
        image_std=list(normalization.std),
    ).save_pretrained(partial)
    output.mkdir(parents=True, exist_ok=True)
    for file in sorted(partial.iterdir()):
        file.replace(output / file.name)
    partial.rmdir()
