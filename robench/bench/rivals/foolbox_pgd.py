"""PGD as foolbox users call it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def attack(network: nn.Module, images: Tensor, labels: Tensor, *, eps: float, alpha: float, steps: int) -> Tensor:
    """Return adversarial images, ``float32 (N, 3, H, W)`` in ``[0, 1]``."""
    import foolbox

    model: Any = foolbox.PyTorchModel(network, bounds=(0, 1), device=images.device)
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=alpha, steps=steps, random_start=True)
    _, clipped, _ = pgd(model, images, labels, epsilons=eps)
    adversarial: Tensor = clipped
    return adversarial
