"""Which epoch is best on the validation images, when to lower the learning rate, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from robench.errors import PluginError

Monitor = Literal["accuracy", "loss"]

FLAT_EPOCHS = 5
"""Epochs without improvement after which the plateau schedule halves the learning rate."""
LOWEST_RATE = 1e-5
"""Learning rate below which the plateau schedule does not go."""


class EpochMonitor:
    """Follows the validation scores of a training.

    Attributes:
        factor: The plateau schedule multiplies the learning rate by it.
        epochs_since_best: Epochs since the best one; 0 right after it.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.factor = 1.0
        self.epochs_since_best = 0
        self._best = -math.inf
        self._flat = 0

    def see(self, scores: Mapping[str, float]) -> bool:
        """Record the scores of an epoch and return whether it is the best so far.

        The best has the lowest ``validation_loss`` with ``monitor=loss``, and the highest accuracy with
        ``monitor=accuracy``: adversarial accuracy if there is an adversary.

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
        """Halve the learning rate `rate` after ``FLAT_EPOCHS`` without improvement, but not below the lowest."""
        if self._flat >= FLAT_EPOCHS:
            self._flat = 0
            self.factor = max(self.factor / 2, min(self.factor, LOWEST_RATE / rate))
