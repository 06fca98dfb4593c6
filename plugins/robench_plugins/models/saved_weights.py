"""Load what an earlier run trained and saved into a freshly built network."""

from __future__ import annotations

from pathlib import Path

from robench import DataError
from torch import nn

from robench_plugins.models.resnet import read_state


def load_saved(network: nn.Module, path: Path, n_classes: int) -> None:
    """Put the tensors of a file of ``robench run --save-adapter`` into `network`, all of whose weights it must hold.

    Raises:
        DataError: The file is missing or damaged, or was trained on another architecture, on other classes, or only in
            part; the first tensor that does not fit is named.
    """
    state, own = read_state(path), network.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise DataError(
                f"{path} has no {name!r}; expected all weights of this architecture, as `robench run --tuner "
                "supervised --save-adapter FILE` saves them"
            )
        if state[name].shape != tensor.shape:
            found, wanted = tuple(state[name].shape), tuple(tensor.shape)
            raise DataError(
                f"{name!r} in {path} is {found}, not {wanted}; was it trained with other settings of this model, or "
                f"on other classes than these {n_classes}?"
            )
    if extra := [name for name in state if name not in own]:
        raise DataError(f"{path} holds {extra[0]!r}, which this architecture has not")
    network.load_state_dict(state)
