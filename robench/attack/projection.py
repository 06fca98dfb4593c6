"""Bring whatever an attack returned back to 8-bit images within its ball, on the device where they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.contracts.types import ThreatModel, format_pixels
from robench.errors import BudgetError


def project(clean: NDArray[np.uint8], perturbed: NDArray[np.float32], threat: ThreatModel) -> NDArray[np.uint8]:
    """Return :func:`projected` for arrays."""
    images: NDArray[np.uint8] = projected(torch.tensor(clean), torch.tensor(perturbed), threat).numpy()
    return images


def projected(clean: Tensor, perturbed: Tensor, threat: ThreatModel) -> Tensor:
    """Return the 8-bit images nearest to `perturbed` within the ball around `clean` and within ``[0, 255]``.

    Linf: round, then clip to ``floor(255 eps)`` levels either side. L2: scale down to the ball, then round; where
    rounding would lengthen a perturbation beyond the ball, scale it down a little further before.

    Args:
        clean: ``uint8 (N, 3, H, W)``.
        perturbed: ``float32``, of the same shape and on the same device.
        threat: The ball.

    Raises:
        BudgetError: The ball holds no other 8-bit image than the clean one, though epsilon is above zero.
    """
    if 0 < threat.eps < Fraction(1, 255):
        raise BudgetError(f"epsilon {format_pixels(threat.eps)} is below 1/255, the smallest change of an 8-bit image")
    levels = perturbed.clamp(0, 1) * 255 - clean
    if threat.norm == "Linf":
        radius = int(threat.eps * 255)
        change = levels.round().clamp(-radius, radius)
    else:
        change = _round_within(levels, float(threat.eps * 255))
    return (clean + change).clamp(0, 255).to(torch.uint8)


def _round_within(levels: Tensor, radius: float) -> Tensor:
    """Return whole levels near `levels` of an L2 norm of at most `radius` an image."""
    norms = _norms(levels).clamp_min(1e-12)
    # Not radius / norms, which torch computes as a product with the reciprocal, rounded twice.
    scale = (torch.full_like(norms, radius) / norms).clamp_max(1)
    levels = levels * scale.view(-1, 1, 1, 1)
    # Rounding towards zero never lengthens, but loses much of a perturbation whose pixels change by a level or two.
    change = levels.trunc()
    for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
        rounded = (levels * shrink).round()
        # Whole numbers, so that their sum is exact, in any order.
        fits = rounded.flatten(1).double().square().sum(dim=1) <= radius**2
        change = torch.where(fits.view(-1, 1, 1, 1), rounded, change)
    return change


def _norms(levels: Tensor) -> Tensor:
    """Return the L2 norm of each image, ``(N,)``."""
    if levels.device.type == "cpu":
        # In numpy's order of summation, which decides last bits and, through them, bytes of sets made before.
        return torch.from_numpy(np.linalg.norm(levels.flatten(1).numpy(), axis=1))
    norms: Tensor = torch.linalg.vector_norm(levels.flatten(1), dim=1)
    return norms
