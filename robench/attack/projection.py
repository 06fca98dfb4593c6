"""Judge what an attack returned, on the device where it is: 8-bit images within the ball of its constraint."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.contracts.types import ThreatModel
from robench.images.image_set import to_levels
from robench.registry.constraints import constraint_of


def judged(clean: Tensor, perturbed: Tensor, threat: ThreatModel, *, projected: bool = True) -> tuple[Tensor, Tensor]:
    """Return 8-bit images within the ball around `clean`, and which of `perturbed` were outside, ``bool (N,)``.

    If the constraint projects, these are images of the ball near `perturbed`, and outside are those farther away than
    rounding explains. If not, or if `projected` is False, each image outside is the clean image again.

    Args:
        clean: ``uint8 (N, 3, H, W)``.
        perturbed: ``float32``, meant to be in ``[0, 1]``, of the same shape and on the same device.
        threat: The ball.

    Raises:
        BudgetError: The radius of a norm is above 0 and below 1/255, so that the ball holds only the clean image.
    """
    constraint = constraint_of(threat)
    if projected and constraint.projected:
        return constraint.project(clean, perturbed, threat.eps), constraint.far(clean, perturbed, threat.eps)
    levels = to_levels(perturbed.clamp(0, 1))
    outside = ~constraint.inside(clean, levels, threat.eps)
    return torch.where(outside.view(-1, 1, 1, 1), clean, levels), outside


def project(clean: Tensor, perturbed: Tensor, threat: ThreatModel) -> Tensor:
    """Return the images of :func:`judged`."""
    return judged(clean, perturbed, threat)[0]
