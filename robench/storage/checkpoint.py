"""Where an interrupted training left off: one file a run, in the cache, gone once the run is recorded."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robench.errors import RobenchError
from robench.storage.shared_folder import SharedFolder

SECONDS = 60.0
"""Between two checkpoints of one epoch."""


class Checkpoint:
    """The state of one training, as plain tensors, numbers, texts, lists and dicts of them.

    Args:
        path: The file.
        identity: What must be the same for a state to be taken up: the run, its weights and images, the software.
        warn: Hears why a state is not taken up or not kept; neither stops a run.
        seconds: Between two states within an epoch.
        shared: Where machines share caches by a URL, that place, from which another machine can take up the state.
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
        """Return the last state kept, its tensors on the CPU; None if there is none that fits."""
        if self.shared is not None:
            try:
                self.shared.download(self._name, self.path)
            except FileNotFoundError:
                pass
            except (OSError, RobenchError) as error:
                self.warn(f"cannot take up a checkpoint from {self.shared}: {error}")
        if not self.path.is_file():
            return None
        try:
            # Without executing code, whoever wrote the file.
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            made_with = state.pop("identity")
        except Exception as error:  # whatever a damaged file makes torch raise
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            self.warn(f"damaged checkpoint put aside as {aside}, training starts anew: {type(error).__name__}")
            return None
        changed = sorted(key for key in self.identity.keys() | made_with.keys() if self._differs(key, made_with))
        if changed:
            self.warn(f"checkpoint {self.path} was made with another {', '.join(changed)}; training starts anew")
            return None
        return state

    def _differs(self, key: str, made_with: Mapping[str, str]) -> bool:
        return self.identity.get(key) != made_with.get(key)

    def due(self) -> bool:
        """Return whether it is time for another state within an epoch."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep `state` in place of the last one, completely or not at all."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({**state, "identity": self.identity}, temporary)
            temporary.replace(self.path)
            if self.shared is not None:
                self.shared.upload(self.path, self._name)
        except (OSError, RuntimeError, RobenchError) as error:  # torch reports a full disk as a RuntimeError
            self.warn(f"cannot keep a checkpoint in {self.path.parent}: {error}; if interrupted, training starts anew")
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Forget the state."""
        self.path.unlink(missing_ok=True)
        if self.shared is not None:
            with contextlib.suppress(RobenchError):
                self.shared.remove(self._name)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's random streams."""
    state = {"cpu": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put torch's random streams where :func:`random_state` found them."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
