"""Judge epochs by the validation images: which was best, when to lower the learning rate, when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from robench.errors import PluginError

Monitor = Literal["accuracy", "loss"]

FLAT_EPOCHS = 5
"""Epochs without improvement after which the plateau schedule halves the learning rate."""
LOWEST_RATE = 1e-5
"""Where it stops halving."""


class EpochMonitor:
    """What training knows of its own progress.

    Attributes:
        factor: What the plateau schedule multiplies the learning rate by.
        epochs_since_best: 0 right after the best epoch.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.factor = 1.0
        self.epochs_since_best = 0
        self._best = -math.inf
        self._flat = 0

    def see(self, scores: Mapping[str, float]) -> bool:
        """Take in the scores of an epoch and return whether it is the best so far.

        ``loss`` goes by the lowest ``validation_loss``; ``accuracy`` by the highest accuracy, the adversarial one
        where there is an adversary.

        Raises:
            PluginError: The loss is NaN or infinite.
        """
        if self.monitor == "loss":
            value = -scores["validation_loss"]
        else:
            value = scores.get("validation_adversarial", scores["validation_clean"])
        if not math.isfinite(value):
            raise PluginError("the validation loss became NaN or infinite; lower --lr")
        better = value > self._best
        self._best = max(self._best, value)
        self.epochs_since_best = 0 if better else self.epochs_since_best + 1
        self._flat = 0 if better else self._flat + 1
        return better

    def lower(self, rate: float) -> None:
        """Halve the learning rate `rate` if the last epochs were flat, but not below the lowest."""
        if self._flat >= FLAT_EPOCHS:
            self._flat = 0
            self.factor = max(self.factor / 2, min(self.factor, LOWEST_RATE / rate))
