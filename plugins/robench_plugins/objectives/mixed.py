"""Objectives of clean and adversarial images in a given proportion."""

from __future__ import annotations

from abc import abstractmethod

from robench import Field, Objective, Params
from torch import Tensor, nn


class MixedParams(Params):
    """Parameters of objectives of clean and adversarial images."""

    clean_weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="weight of the loss on clean images, in [0, 1]; adversarial images have the rest",
    )


class Mixed(Objective):
    """``w * loss(clean) + (1 - w) * loss(adversarial)``."""

    Params = MixedParams
    params: MixedParams

    @abstractmethod
    def on(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of `images`, ``float32 (N, 3, H, W)`` in ``[0, 1]``, a scalar."""

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted mean; images of weight 0 do not enter the network."""
        weight = self.params.clean_weight
        if weight == 0:
            return self.on(network, adversarial, labels)
        if weight == 1:
            return self.on(network, clean, labels)
        return weight * self.on(network, clean, labels) + (1 - weight) * self.on(network, adversarial, labels)
