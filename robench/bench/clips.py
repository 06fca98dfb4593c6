"""The CLIP models that are measured: as robench builds them and, with the same weights, as rivals have them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from robench.bench.setting import Setting
from robench.bench.vit_b32 import build, large_configuration, stand_in_merges


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """What a script has after loading a CLIP and encoding the prompts.

    Attributes:
        model: The ``CLIPModel`` of transformers, on its device.
        text: Unit embeddings of the classes, ``(n_classes, D)``.
        mean: Channel means of its training images, ``(1, 3, 1, 1)``.
        std: Channel standard deviations, ``(1, 3, 1, 1)``.
    """

    model: Any
    text: Tensor
    mean: Tensor
    std: Tensor

    @property
    def image_size(self) -> int:
        """Height and width of its input, in pixels."""
        return int(self.model.config.vision_config.image_size)


def as_rivals_have_it(network: nn.Module) -> Clip:
    """Return a CLIP that robench built as transformers would make it, with copies of the weights."""
    built: Any = network
    model = copy.deepcopy(built.clip)
    layers = model.vision_model.encoder.layers
    layers[-1] = _as_it_comes(layers[-1], model.config.vision_config)
    return Clip(model=model, text=built.class_embeddings().detach(), mean=built.mean, std=built.std)


def _as_it_comes(layer: nn.Module, config: Any) -> nn.Module:
    """Return the block of transformers with the weights of `layer`, which robench cuts short."""
    from transformers.models.clip.modeling_clip import CLIPEncoderLayer

    whole: nn.Module = CLIPEncoderLayer(config)
    whole.load_state_dict(layer.state_dict())
    return whole.to(next(layer.parameters()).device).train(layer.training)


def clips(setting: Setting) -> dict[str, str]:
    """Return the measured models by name, each as typed for ``--model``; ViT-B/32 has random weights."""
    if setting.quick:
        return {"clip-tiny": "clip-tiny"}
    folder = setting.folder / "vit-b32"
    if not (folder / "model.safetensors").exists():
        build(folder, stand_in_merges())
    return {"clip-tiny": "clip-tiny", "ViT-B/32": f"clip:path={folder}"}


def large_clip(setting: Setting) -> dict[str, str]:
    """Return ViT-L/14 with random weights, 1.7 GB, by name and as typed for ``--model``."""
    folder = setting.folder / "vit-l14"
    if not (folder / "model.safetensors").exists():
        build(folder, stand_in_merges(), large_configuration())
    return {"ViT-L/14": f"clip:path={folder}"}
