"""No tuning: the model as it is."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Tuner
from torch import nn


class NoTuning(Tuner):
    """Leaves the model as it is, such as CLIP zero-shot: the baseline of every comparison."""

    trains = False

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze everything."""
        network.requires_grad_(False)
