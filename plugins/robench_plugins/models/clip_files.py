"""Read a CLIP from a folder in the Hub's layout, or from the Hub."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from robench import DataError

from robench_plugins.models.class_token_layer import ClassTokenLayer

ADAPTER = "adapter_config.json"


def locate(source: str) -> str:
    """Return the folder, or the id on the Hub, that `source` means.

    Raises:
        DataError: There is no such folder, or it has no config.json.
    """
    local = Path(source).expanduser()
    if not local.is_dir() and (source.count("/") != 1 or source.startswith((".", "~", "/"))):
        raise DataError(
            f"no folder {source}; expected one in the Hub's layout (config.json, model.safetensors), or ORG/NAME"
        )
    if local.is_dir() and not (local / "config.json").is_file():
        # transformers would silently assume the sizes of ViT-B/32.
        raise DataError(f"no config.json in {local}; expected a folder in the Hub's layout")
    if local.is_dir() and (local / ADAPTER).exists():
        raise DataError(
            f"{local} holds {ADAPTER}, an adapter of peft, which is not applied and may name a base on the Hub; "
            f"merge it into the weights (merge_and_unload, save_pretrained), or move {ADAPTER} elsewhere"
        )
    return str(local) if local.is_dir() else source


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what transformers raises for missing or damaged files into one clear line."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a stranger's config.json leads transformers to any of them, ImportError included
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            reason = (
                "its pickle holds more than tensors and is not executed; convert it to model.safetensors where you "
                "trust it (CLIPModel.from_pretrained, save_pretrained)"
            )
        if Path(where).is_dir():
            raise DataError(f"CLIP weights in {where} cannot be read: {reason[:300]}") from error
        raise DataError(
            f"CLIP weights {where!r} cannot be loaded from the Hugging Face Hub ({reason}); download them where there "
            f"is a network (hf download {where} --local-dir DIR) and pass --model clip:path=DIR"
        ) from error


def load_clip(source: str, revision: str | None) -> tuple[Any, Any, Any]:
    """Return the model, its tokenizer and its image processor.

    Raises:
        DataError: Files are missing, damaged or incomplete, or the Hub cannot be reached.
    """
    from transformers import CLIPImageProcessor, CLIPModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    where = locate(source)
    with readable(where):
        _refuse_adapter(where, revision)
        clip, loading = CLIPModel.from_pretrained(
            where,
            revision=revision or "main",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # reported below, with names
            output_loading_info=True,
        )
        tokenizer = load_tokenizer(where, revision)
        processor = CLIPImageProcessor.from_pretrained(where, revision=revision or "main")
    unfit = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
    if unfit:
        names = ", ".join(sorted(unfit)[:3])
        raise DataError(f"CLIP weights in {where} are incomplete: {names} missing or of the wrong shape")
    tower = clip.vision_model
    if not tower.config.attention_dropout:  # with dropout the other tokens draw random numbers, too
        tower.encoder.layers[-1] = ClassTokenLayer(tower.encoder.layers[-1])
    return clip, tokenizer, processor


def _refuse_adapter(where: str, revision: str | None) -> None:
    """Refuse an adapter on the Hub, whose base, wherever it is, transformers would load as well."""
    from transformers.utils.peft_utils import find_adapter_config_file

    if not Path(where).is_dir() and find_adapter_config_file(where, revision=revision or "main"):
        raise DataError(
            f"{where} on the Hub is an adapter of peft, no whole CLIP; merge it into its base and save that"
        )


def load_tokenizer(where: str, revision: str | None) -> Any:
    """Return the tokenizer of a CLIP.

    Raises:
        DataError: Its files are missing or damaged.
    """
    from transformers import AutoTokenizer

    with readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision or "main")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # Without files transformers makes a tokenizer without words.
        raise DataError(f"CLIP in {where} has no vocabulary: expected tokenizer.json, or vocab.json and merges.txt")
    return tokenizer
