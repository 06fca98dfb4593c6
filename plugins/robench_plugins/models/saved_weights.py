"""Weights from files: read without executing code, and loaded completely."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from robench import DataError
from torch import Tensor, nn


def read_state(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a torch checkpoint, without executing code.

    Raises:
        DataError: The file is missing, damaged, or holds anything but tensors.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers raise anything, such as struct.error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"weights in {path} cannot be read: {reason}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise DataError(f"{path} holds no state dict of tensors")
    return dict(state)


def load_all(network: nn.Module, state: Mapping[str, Tensor], path: Path, *, missing: str, misfit: str) -> None:
    """Load `state`, read from `path`, into `network`; it must have exactly the tensors of `network`.

    Args:
        missing: What to say if a tensor is missing.
        misfit: What to say if a tensor has another shape.

    Raises:
        DataError: A tensor is missing, unexpected or of another shape; the message names the first.
    """
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise DataError(f"{path} has no {name!r}; {missing}")
        if state[name].shape != tensor.shape:
            found, wanted = tuple(state[name].shape), tuple(tensor.shape)
            raise DataError(f"{name!r} in {path} is {found}, not {wanted}; {misfit}")
    if extra := [name for name in state if name not in own]:
        raise DataError(f"{path} holds {extra[0]!r}, which this architecture does not have")
    network.load_state_dict(state)


def load_saved(network: nn.Module, path: Path, n_classes: int) -> None:
    """Load a file of ``robench run --save-adapter`` into `network`; it must hold all weights.

    Raises:
        DataError: The file is missing or damaged, or was trained on another architecture, on other classes, or only in
            part; the message names the first tensor that does not fit.
    """
    load_all(
        network,
        read_state(path),
        path,
        missing="expected all weights of this architecture, as `robench run --tuner supervised --save-adapter FILE` "
        "saves them",
        misfit=f"was it trained with other settings of this model, or on other classes than these {n_classes}?",
    )
