"""The state of an unfinished training: one file a run in the cache, removed once the run is recorded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robench.errors import RobenchError
from robench.storage.shared_folder import SharedFolder
from robench.storage.whole_file import remove_abandoned, whole_file

SECONDS = 60.0
"""Seconds between two checkpoints within an epoch."""


class Checkpoint:
    """The file that keeps the state of one training: tensors, numbers, texts, and lists and dicts of these.

    Args:
        path: The file.
        identity: What must be the same when the training goes on: the run, its weights and images, the software.
        warn: Is told why a state cannot be used or saved; the run goes on without it.
        seconds: Seconds between two checkpoints within an epoch.
        shared: The URL of a cache that machines share, from which another machine can go on; None for none.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, str],
        warn: Callable[[str], None],
        seconds: float = SECONDS,
        shared: SharedFolder | None = None,
    ) -> None:
        self.path, self.identity, self.warn, self.seconds = path, dict(identity), warn, seconds
        self.shared, self._name = shared, f"{path.parent.name}/{path.name}"
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state, its tensors on the CPU; None if there is none that fits."""
        if self.shared is not None:
            try:
                self.shared.download(self._name, self.path)
            except FileNotFoundError:
                pass
            except (OSError, RobenchError) as error:
                self.warn(f"cannot read a checkpoint from {self.shared}: {error}")
        if not self.path.is_file():
            return None
        try:
            # weights_only: no code in the file is executed.
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            made_with = state.pop("identity")
        except Exception as error:  # torch may raise anything for a damaged file
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            self.warn(f"damaged checkpoint put aside as {aside.name}, training starts anew: {type(error).__name__}")
            return None
        keys = self.identity.keys() | made_with.keys()
        changed = sorted(key for key in keys if self.identity.get(key) != made_with.get(key))
        if changed:
            self.warn(f"checkpoint {self.path.name} was made with another {', '.join(changed)}; training starts anew")
            return None
        return state

    def due(self) -> bool:
        """Return whether it is time for the next checkpoint within an epoch."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Save `state` in place of the last one, completely or not at all."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.path.parent)
            with whole_file(self.path) as temporary:
                torch.save({**state, "identity": self.identity}, temporary)
            if self.shared is not None:
                self.shared.upload(self.path, self._name)
        except (OSError, RuntimeError, RobenchError) as error:  # torch reports a full disk as a RuntimeError
            self.warn(f"cannot keep a checkpoint in {self.path.parent}: {error}; if interrupted, training starts anew")
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        if self.shared is not None:
            with contextlib.suppress(RobenchError):
                self.shared.remove(self._name)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's random streams on the CPU and, if it is a GPU, on `device`."""
    state = {"cpu": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore what :func:`random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
