"""Read a CLIP from a folder in the Hub's layout, or from the Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from robench import DataError

from robench_plugins.models.class_token_layer import ClassTokenLayer


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
    return str(local) if local.is_dir() else source


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn what transformers raises for missing or damaged files into one clear line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if Path(where).is_dir():
            raise DataError(f"CLIP weights in {where} cannot be read: {reason}") from error
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
    with _readable(where):
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


def load_tokenizer(where: str, revision: str | None) -> Any:
    """Return the tokenizer of a CLIP.

    Raises:
        DataError: Its files are missing or damaged.
    """
    from transformers import AutoTokenizer

    with _readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision or "main")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # Without files transformers makes a tokenizer without words.
        raise DataError(f"CLIP in {where} has no vocabulary: expected tokenizer.json, or vocab.json and merges.txt")
    return tokenizer
