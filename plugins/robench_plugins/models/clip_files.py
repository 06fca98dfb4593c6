"""Read a CLIP from a folder in the Hub's layout, or from the Hub."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from robench import DataError

from robench_plugins.models.class_prompts import TransformersWords
from robench_plugins.models.clip_adapter import ADAPTER, merged, refuse_adapter
from robench_plugins.models.image_text import Loaded
from robench_plugins.models.resizing import Sight
from robench_plugins.models.saved_weights import require_unpacked

VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model", "vocab.txt")
NORMALISATIONS = ("preprocessor_config.json", "processor_config.json")
KINDS = ("clip", "siglip")
"""The model types of transformers that are read."""
MOST_LAYERS, MOST_TIMES = 1000, 16
"""Most layers of a tower, and how many times the size of its weights a network may take; in 8 bits it takes 4 times."""


def locate(source: str) -> str:
    """Return the folder, or the id on the Hub, that `source` means.

    Raises:
        DataError: There is no such folder, or it has no config.json.
    """
    local = Path(source).expanduser()
    if local.is_file() or source.endswith((".pt", ".pth", ".tar", ".safetensors", ".bin")):
        raise DataError(
            f"{source} is a file of weights, not a folder in the Hub's layout; for a checkpoint of open_clip: --model "
            f"open-clip:path={source},model=ViT-B-32 (or what it is); for a vision tower alone: tower={source}"
        )
    if local.is_dir() and (local / "open_clip_config.json").is_file() and not (local / "config.json").is_file():
        raise DataError(f"{source} holds a model of open_clip; use --model open-clip:path={source}")
    if not local.is_dir() and (source.count("/") != 1 or source.startswith((".", "~", "/"))):
        raise DataError(
            f"no folder {source}; expected one in the Hub's layout (config.json, model.safetensors), or ORG/NAME"
        )
    if local.is_dir() and (local / ADAPTER).is_file() and not (local / "config.json").is_file():
        raise DataError(f"{local} is a peft adapter without its model; pass clip:path=BASE,adapter={local}")
    if local.is_dir() and not (local / "config.json").is_file():
        # transformers would silently assume the sizes of ViT-B/32.
        raise DataError(f"no config.json in {local}; expected a folder in the Hub's layout")
    if local.is_dir() and (local / ADAPTER).exists():
        raise DataError(
            f"{local} holds {ADAPTER}, an adapter of peft, which is not applied and may name a base on the Hub; "
            f"move the adapter to a folder of its own, and pass clip:path={local},adapter=FOLDER"
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


def load_clip(
    source: str, revision: str | None, *, processor: str | None, adapter: str | None, warn: Callable[[str], None]
) -> Loaded:
    """Return a CLIP or SigLIP with its vocabulary and its normalisation.

    Args:
        processor: Where the tokenizer and the normalisation are; `source` if None.
        adapter: The folder of a peft adapter to merge.
        warn: Is told what is computed otherwise than the files say.

    Raises:
        DataError: Files are missing, damaged or incomplete, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from transformers import CLIPImageProcessor, CLIPModel, SiglipImageProcessor, SiglipModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    where = locate(source)
    check_processor(where, processor)
    sides = (where, revision) if processor is None else (processor, None)
    with readable(where):
        if not Path(where).is_dir():  # asked once, because transformers asks for each file, five times if it cannot
            snapshot_download(where, revision=revision, allow_patterns=["config.json"])
        refuse_adapter(where, revision)
        config = _config(where, revision)
        sigmoid = config.get("model_type") == "siglip"
        kind = SiglipModel if sigmoid else CLIPModel
        _refuse_bomb(Path(where), kind, config)
        clip, loading = kind.from_pretrained(
            where,
            revision=revision or "main",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # reported below, with names
            output_loading_info=True,
            **_attention(config, warn),
        )
        unfit = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
        if unfit:
            names = ", ".join(sorted(unfit)[:3])
            raise DataError(f"CLIP weights in {where} are incomplete: {names} missing or of the wrong shape")
        words = load_words(*sides, clip)
        reader = SiglipImageProcessor if sigmoid else CLIPImageProcessor
        normal = reader.from_pretrained(sides[0], revision=sides[1] or "main")
        bilinear = int(normal.resample) == 2
        sight = Sight("squash" if sigmoid else "crop", "bilinear" if sigmoid and bilinear else "bicubic")
    if adapter is not None:
        clip = merged(clip, Path(adapter).expanduser())
    return Loaded(clip=clip, words=words, mean=tuple(normal.image_mean), std=tuple(normal.image_std), sight=sight)


def _config(where: str, revision: str | None) -> dict[str, Any]:
    """Return config.json, of a kind that robench reads.

    Raises:
        DataError: It is of another kind.
    """
    from transformers.utils.hub import cached_file

    return check_kind(where, Path(str(cached_file(where, "config.json", revision=revision or "main"))))


def check_kind(where: str, path: Path) -> dict[str, Any]:
    """Return the configuration of `where` in the file `path`, of a kind that robench reads.

    Raises:
        DataError: It is of another kind.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    kind = config.get("model_type", "clip") if isinstance(config, dict) else None
    if kind not in KINDS:
        raise DataError(
            f"{where} holds a model of type {kind!r}; expected {' or '.join(KINDS)}"
            + (
                " (SigLIP 2 at a fixed size has the type siglip; naflex models are not read)"
                if kind == "siglip2"
                else ""
            )
        )
    return dict(config)


def _refuse_bomb(folder: Path, kind: Any, config: dict[str, Any]) -> None:
    """Refuse a folder whose files are far smaller than the memory that they ask for.

    Raises:
        DataError: Weights are packed, or config.json asks for many more parameters than they have.
    """
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    for file in folder.glob("*.bin"):
        require_unpacked(file)
    towers = [part for part in (config.get("text_config"), config.get("vision_config")) if isinstance(part, dict)]
    layers = max((part.get("num_hidden_layers", 0) for part in towers), default=0)
    if layers > MOST_LAYERS:
        raise DataError(f"{folder}: config.json asks for {layers:,} layers; expected at most {MOST_LAYERS:,}")
    if weights:
        with torch.device("meta"):  # shapes alone
            asked = sum(weight.nbytes for weight in kind(kind.config_class.from_dict(config)).parameters())
        there = sum(file.stat().st_size for file in weights)
        if asked > max(MOST_TIMES * there, 100_000_000):
            raise DataError(
                f"{folder}: config.json asks for parameters of {asked / 1e6:,.0f} MB, and the weights beside it have "
                f"{there / 1e6:,.0f} MB"
            )


def _attention(config: dict[str, Any], warn: Callable[[str], None]) -> dict[str, str]:
    """Return how attention is computed, if config.json asks for what needs a package or a GPU of its own."""
    asked = str(config.get("_attn_implementation") or config.get("attn_implementation") or "")
    if not asked.startswith(("flash_attention", "flex_attention", "paged", "kernels-community/")):
        return {}
    warn(f"config.json asks for the attention of {asked}; torch's own (sdpa) is used, which computes the same")
    return {"attn_implementation": "sdpa"}


def check_processor(source: str, processor: str | None) -> None:
    """Check that a folder has a vocabulary and a normalisation; what is on the Hub is not looked at.

    Args:
        source: Where the weights are.
        processor: Where the vocabulary and the normalisation are instead.

    Raises:
        DataError: It has none.
    """
    place = Path(source if processor is None else processor).expanduser()
    if not place.is_dir():
        if processor is not None and (processor.count("/") != 1 or processor.startswith((".", "~", "/"))):
            raise DataError(f"no folder processor={processor}; expected one with {VOCABULARIES[0]}, or ORG/NAME")
        return
    elsewhere = "" if processor else "; if it is elsewhere, name its folder, or ORG/NAME, with processor="
    for names, what in ((VOCABULARIES, "vocabulary"), (NORMALISATIONS, "normalisation")):
        if not any((place / name).is_file() for name in names):
            raise DataError(f"{place} has no {what}; expected a file such as {names[0]}{elsewhere}")


def load_words(where: str, revision: str | None, clip: Any) -> TransformersWords:
    """Return the vocabulary of a CLIP or SigLIP.

    Raises:
        DataError: Its files are missing or damaged.
    """
    from transformers import AutoTokenizer

    with readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision or "main")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # Without files transformers makes a tokenizer without words.
        raise DataError(
            f"CLIP in {where} has no vocabulary: expected tokenizer.json, or vocab.json and merges.txt; if these are "
            "elsewhere, name their folder, or ORG/NAME, with processor="
        )
    return TransformersWords(tokenizer, clip, fixed=hasattr(clip, "logit_bias"))
