"""Project what an attack returned to 8-bit images within its ball, on the device where they are."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from robench.contracts.types import ThreatModel, format_pixels
from robench.errors import BudgetError


def project(clean: Tensor, perturbed: Tensor, threat: ThreatModel) -> Tensor:
    """Return the 8-bit images nearest to `perturbed` within the ball around `clean` and within ``[0, 255]``.

    Linf: round, then clip to ``floor(255 eps)`` levels on either side. L2: scale down to the ball, then round. If
    rounding would lengthen a perturbation beyond the ball, it is scaled down a little more first.

    Args:
        clean: ``uint8 (N, 3, H, W)``.
        perturbed: ``float32`` in ``[0, 1]``, of the same shape and on the same device.
        threat: The ball.

    Raises:
        BudgetError: Epsilon is above 0 and below 1/255, so that no 8-bit image but the clean one is in the ball.
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


def outside(clean: Tensor, perturbed: Tensor, threat: ThreatModel, *, far: bool) -> Tensor:
    """Return which images are outside the ball once they are rounded to 8 bits, ``bool (N,)``.

    Args:
        clean: ``uint8 (N, 3, H, W)``.
        perturbed: ``float32`` of the same shape, on the same device.
        threat: The ball.
        far: Return which are farther outside than rounding explains, which is half a level in every value.
    """
    change, radius = (perturbed.clamp(0, 1) * 255 - clean).flatten(1), threat.eps * 255
    if threat.norm == "Linf":
        return change.abs().amax(dim=1) > float(radius) + 0.5 if far else change.round().abs().amax(dim=1) > int(radius)
    if far:  # a hundredth more, for attacks that scale in float32
        norms: Tensor = torch.linalg.vector_norm(change, dim=1)
        return norms > 1.01 * float(radius) + 0.5 * math.sqrt(change.shape[1])
    beyond: Tensor = change.round().double().square().sum(dim=1) > float(radius**2)
    return beyond


def _round_within(levels: Tensor, radius: float) -> Tensor:
    """Return whole levels near `levels` whose L2 norm for each image is at most `radius`."""
    norms = _norms(levels).clamp_min(1e-12)
    # Not radius / norms, which torch computes as a product with the reciprocal, and so rounds twice.
    scale = (torch.full_like(norms, radius) / norms).clamp_max(1)
    levels = levels * scale.view(-1, 1, 1, 1)
    # Rounding towards zero never lengthens, but loses much of a perturbation of a level or two a pixel.
    change = levels.trunc()
    for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
        rounded = (levels * shrink).round()
        # Sums of whole numbers are exact in any order.
        fits = rounded.flatten(1).double().square().sum(dim=1) <= radius**2
        change = torch.where(fits.view(-1, 1, 1, 1), rounded, change)
    return change


def _norms(levels: Tensor) -> Tensor:
    """Return the L2 norm of each image, ``(N,)``."""
    if levels.device.type == "cpu":
        # numpy's order of summation decides the last bits, and with them the bytes of sets made earlier.
        return torch.from_numpy(np.linalg.norm(levels.flatten(1).numpy(), axis=1))
    norms: Tensor = torch.linalg.vector_norm(levels.flatten(1), dim=1)
    return norms
