"""Adapters of peft, made elsewhere, for a CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from robench import DataError

from robench_plugins.models.saved_weights import require_unpacked

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def check_adapter(folder: Path) -> None:
    """Check that `folder` holds a peft adapter.

    Raises:
        DataError: It does not.
    """
    if not (folder / ADAPTER).is_file():
        raise DataError(f"no {ADAPTER} in {folder}; expected the folder of a peft adapter (save_pretrained)")
    if not any((folder / name).is_file() for name in ADAPTER_WEIGHTS):
        raise DataError(
            f"{folder} has {ADAPTER} and no weights; expected {' or '.join(ADAPTER_WEIGHTS)} (save_pretrained)"
        )


def merged(clip: Any, folder: Path) -> Any:
    """Return `clip` with the peft adapter in `folder` merged into its weights.

    Raises:
        DataError: The adapter is damaged, does not fit this model, or cannot be merged.
    """
    from peft import PeftConfig, PeftModel
    from peft.utils.save_and_load import load_peft_weights

    check_adapter(folder)
    for file in folder.glob("*.bin"):
        require_unpacked(file)
    try:
        state = load_peft_weights(str(folder), device="cpu")
        kind = PeftConfig.from_pretrained(str(folder)).peft_type
        with torch.random.fork_rng(devices=[]):
            adapted = PeftModel.from_pretrained(clip, str(folder), is_trainable=False)
    except Exception as error:  # a stranger's file leads peft to any of them
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"peft adapter {folder} does not fit this model: {' '.join(lines[:2])[:300]}") from error
    own = adapted.state_dict()
    names = {name: name.replace(".default.", ".").removesuffix(".default") for name in own}
    given = {short: name for name, short in names.items()}
    if strange := [name for name in state if name not in given]:
        raise DataError(f"peft adapter {folder} has {strange[0]!r}, which this model has no place for")
    added = [names[name] for name in own if ".default" in name]
    if lacking := [short for short in added if short not in state and "vera_A" not in short and "vera_B" not in short]:
        raise DataError(f"peft adapter {folder} has no {lacking[0]!r}; it is incomplete")
    if not hasattr(adapted, "merge_and_unload") or getattr(kind, "value", "") in ("PROMPT_TUNING", "PREFIX_TUNING"):
        raise DataError(f"peft adapter {folder} is of type {kind}, which cannot be merged into weights")
    return adapted.merge_and_unload()


def refuse_adapter(where: str, revision: str | None) -> None:
    """Refuse an adapter on the Hub, whose base, wherever it is, transformers would load as well."""
    from transformers.utils.peft_utils import find_adapter_config_file

    if not Path(where).is_dir() and find_adapter_config_file(where, revision=revision or "main"):
        raise DataError(
            f"{where} on the Hub is an adapter of peft, no whole CLIP; download it and pass "
            "clip:path=BASE,adapter=FOLDER"
        )
