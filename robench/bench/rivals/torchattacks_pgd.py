"""PGD as torchattacks users call it."""

from __future__ import annotations

import torchattacks
from torch import Tensor, nn


def attack(network: nn.Module, images: Tensor, labels: Tensor, *, eps: float, alpha: float, steps: int) -> Tensor:
    """Return adversarial images, ``float32 (N, 3, H, W)`` in ``[0, 1]``."""
    adversarial: Tensor = torchattacks.PGD(network, eps=eps, alpha=alpha, steps=steps, random_start=True)(
        images, labels
    )
    return adversarial
