"""Weights from files: read without executing code, and loaded completely."""

from __future__ import annotations

import json
import pickle
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from robench import DataError, Dataset, Model
from torch import Tensor, nn

NO_FILE = ("none", "auto", "pretrained", "published")


class FromFile(Model):
    """A model whose parameter ``weights`` may name a file, which may name the classes that it was trained on."""

    def check_files(self) -> None:
        """Check that there is a file of weights, if one is named.

        Raises:
            DataError: There is none.
        """
        weights: str = self.params.model_dump()["weights"]
        if weights not in NO_FILE and not (path := Path(weights).expanduser()).is_file() and not path.is_dir():
            raise DataError(f"no weights at {weights}")

    def check_classes(self, dataset: Dataset) -> None:
        """Check that the file of weights, if one is named, does not name other classes than `dataset` has.

        Raises:
            DataError: It does, or it cannot be read.
        """
        weights: str = self.params.model_dump()["weights"]
        if weights not in NO_FILE and (path := Path(weights).expanduser()).is_file():
            _, named = _read(path)
            if named is not None:
                dataset.require_classes(named, path)


WRAPPERS = (
    "state_dict",
    "model",
    "net",
    "network",
    "model_state_dict",
    "model_state",
    "vision_encoder_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
)
"""Under which training scripts save the weights, beside their optimiser and their settings; the first one counts, so
that averaged weights are read only where there are no others."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


def read_state(path: Path, dataset: Dataset | None = None) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a torch checkpoint, without executing code.

    Args:
        dataset: A file that names other classes is refused.

    Raises:
        DataError: The file is missing, damaged, holds anything but tensors, or names other classes.
    """
    found, named = _read(path)
    if dataset is not None and named is not None:
        dataset.require_classes(named, path)
    state = found
    while state and (
        prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)), None)
    ):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], Sequence[str] | None]:
    """Return the tensors of a file by name, and the classes that it names, if it names any."""
    if not path.is_file():
        raise DataError(f"no weights at {path}")
    try:
        found, named = _safe(path) if path.suffix == ".safetensors" else _torch(path)
    except Exception as error:  # a damaged file makes the readers raise anything, such as struct.error
        reason = str(error).splitlines()[0] if " " in str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            reason = "its pickle is damaged or holds more than tensors; save network.state_dict() instead"
        raise DataError(f"weights in {path} cannot be read: {reason}") from error
    if not _is_state(found):
        raise DataError(f"{path} holds no state dict of tensors")
    return dict(found), named


def _safe(path: Path) -> tuple[Any, Sequence[str] | None]:
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        named = json.loads((file.metadata() or {}).get("class_names", "null"))
    return load_file(path), named if _is_names(named) else None


def _torch(path: Path) -> tuple[Any, Sequence[str] | None]:
    require_unpacked(path)
    # timm's training script saves its settings, a Namespace of plain values, with the weights.
    with torch.serialization.safe_globals([Namespace]):
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict):
        return loaded, None
    names = [loaded[key] for key in ("class_names", "classes") if _is_names(loaded.get(key))]
    indices = loaded.get("class_to_idx")
    if isinstance(indices, dict) and all(isinstance(index, int) for index in indices.values()):
        names.append(sorted(indices, key=lambda name: indices[name]))
    inside = [loaded[key] for key in WRAPPERS if _is_state(loaded.get(key))]
    return inside[0] if inside else loaded, names[0] if names else None


def require_unpacked(path: Path) -> None:
    """Check that a torch checkpoint is as torch writes it, unpacked; a packed one of megabytes may take gigabytes.

    Raises:
        DataError: It is packed.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > path.stat().st_size:
            raise DataError(f"it would unpack to {size / 1e6:,.0f} MB; expected a file as torch.save writes it")


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(name, str) for name in value)


def with_batch_counts(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return `state` with the counts of batches that torch before 0.4.1 did not save; they decide nothing here."""
    own = network.state_dict()
    return {**{name: value for name, value in own.items() if name.endswith("num_batches_tracked")}, **state}


def load_all(
    network: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    *,
    missing: str,
    misfit: str,
    called: Callable[[str], str] = str,
) -> None:
    """Load `state`, read from `path`, into `network`; it must have exactly the tensors of `network`.

    Args:
        missing: What to say if a tensor is missing.
        misfit: What to say if a tensor has another shape.
        called: Returns what the file calls a tensor of `network`, if it has other names.

    Raises:
        DataError: A tensor is missing, unexpected or of another shape; the message names the first.
    """
    own = network.state_dict()
    state = with_batch_counts(state, network)
    for name, tensor in own.items():
        if name not in state:
            raise DataError(f"{path} has no {called(name)!r}; {missing}")
        if state[name].shape != tensor.shape:
            found, wanted = tuple(state[name].shape), tuple(tensor.shape)
            raise DataError(f"{called(name)!r} in {path} is {found}, not {wanted}; {misfit}")
    if extra := [name for name in state if name not in own]:
        raise DataError(f"{path} holds {called(extra[0])!r}, which this architecture does not have")
    network.load_state_dict(state)


def load_saved(network: nn.Module, path: Path, dataset: Dataset) -> None:
    """Load a file of ``robench run --save-adapter`` into `network`; it must hold all weights.

    Raises:
        DataError: The file is missing or damaged, or was trained on another architecture, on other classes, or only in
            part; the message names the first tensor that does not fit.
    """
    load_all(
        network,
        read_state(path, dataset),
        path,
        missing="expected all weights of this architecture, as `robench run --tuner supervised --save-adapter FILE` "
        "saves them",
        misfit="was it trained with other settings of this model, or on other classes than these "
        f"{len(dataset.class_names)}?",
    )


def by_order(
    network: nn.Module, state: Mapping[str, Tensor], path: Path, except_for: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Return `state` under the names of `network`, tensor by tensor in the order of both.

    Args:
        except_for: Names of `network` whose tensor may have another shape.

    Raises:
        DataError: There are not as many tensors, or one has another shape; the message names the first.
    """
    own = network.state_dict()
    counted = len(state) == len(own)
    names = [name for name in own if counted or not name.endswith("num_batches_tracked")]
    if len(names) != len(state):
        raise DataError(
            f"{path} has {len(state)} tensors and this architecture {len(names)}; match=order needs as many"
        )
    for name, (other, tensor) in zip(names, state.items(), strict=True):
        if tensor.shape != own[name].shape and name not in except_for:
            raise DataError(
                f"{other!r} in {path} is {tuple(tensor.shape)}, and {name!r}, which has its place, "
                f"{tuple(own[name].shape)}; match=order needs the same shapes in the same order"
            )
    return dict(zip(names, state.values(), strict=True))


def without_head(state: Mapping[str, Tensor], network: nn.Module, head: Sequence[str]) -> tuple[dict[str, Tensor], int]:
    """Return `state` with the tensors `head` of `network` in place of those of another number of classes.

    Returns:
        The tensors, and the number of classes that the file has; 0 if its head fits.
    """
    own = network.state_dict()
    unfit = [name for name in head if name in state and state[name].shape[1:] == own[name].shape[1:]]
    unfit = [name for name in unfit if state[name].shape != own[name].shape]
    n_classes = len(state[unfit[0]]) if unfit else 0
    return {**state, **{name: own[name] for name in unfit}}, n_classes
