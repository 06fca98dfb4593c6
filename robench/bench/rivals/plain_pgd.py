"""PGD as one writes it by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attack(network: nn.Module, images: Tensor, labels: Tensor, *, eps: float, alpha: float, steps: int) -> Tensor:
    """Return adversarial images, ``float32 (N, 3, H, W)`` in ``[0, 1]``.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
    """
    found = (images + torch.empty_like(images).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        found = found.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(found), labels), found)
        moved = found.detach() + alpha * gradient.sign()
        found = torch.min(torch.max(moved, images - eps), images + eps).clamp(0, 1)
    return found.detach()
