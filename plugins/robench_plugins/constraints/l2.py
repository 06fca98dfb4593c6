"""The Euclidean length of the change of an image is at most epsilon."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.constraints.levels import Values, changed_levels
from robench_plugins.constraints.linf import square


class L2(Values):
    """The Euclidean length of the change of all values of an image, in ``[0, 1]`` pixel units; it may exceed 1.

    What lies outside is scaled down to the ball, then rounded to 8 bits. If rounding would lengthen a perturbation
    beyond the ball, it is scaled down a little more first.
    """

    usual = Fraction(128, 255)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the length of the change of each image."""
        return changed_levels(clean, changed).square().sum(dim=1).sqrt() / 255

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images change by no more; sums of squared levels are whole numbers."""
        return changed_levels(clean, changed).square().sum(dim=1) <= float((radius * 255) ** 2)

    def cut(self, levels: Tensor, radius: Fraction) -> Tensor:
        """Return whole levels near `levels` whose length for each image is at most `radius`."""
        limit = float(radius)
        norms = _norms(levels).clamp_min(1e-12)
        # Not limit / norms, which torch computes as a product with the reciprocal, and so rounds twice.
        scale = (torch.full_like(norms, limit) / norms).clamp_max(1)
        levels = levels * scale.view(-1, 1, 1, 1)
        # Rounding towards zero never lengthens, but loses much of a perturbation of a level or two a pixel.
        change = levels.trunc()
        for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
            rounded = (levels * shrink).round()
            # Sums of whole numbers are exact in any order.
            fits = rounded.flatten(1).double().square().sum(dim=1) <= limit**2
            change = torch.where(fits.view(-1, 1, 1, 1), rounded, change)
        return change

    def far(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are farther than rounding every value explains, and scaling in float32."""
        change = (perturbed.clamp(0, 1) * 255 - clean).flatten(1)
        norms: Tensor = torch.linalg.vector_norm(change, dim=1)
        return norms > 1.01 * float(radius * 255) + 0.5 * math.sqrt(change.shape[1])

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        """Return images moved by the radius along `direction`."""
        unit = F.normalize(direction.flatten(1)).view_as(direction)
        return (images + float(radius) * unit).clamp(0, 1)

    def varied(self, images: Tensor, best: Tensor, radius: Fraction, share: float) -> Tensor:
        """Return images with a random square added, and the whole change scaled to the radius."""
        rows, columns, sign = square(images, share)
        size = (rows.stop - rows.start) * (columns.stop - columns.start) * images.shape[1]
        change = best - images
        change[:, :, rows, columns] += float(radius) * sign / size**0.5
        lengths = change.flatten(1).norm(dim=1).clamp_min(1e-12)
        moved: Tensor = images + change * (float(radius) / lengths).view(-1, 1, 1, 1)
        return moved.clamp(0, 1)

    def huge(self, shape: tuple[int, int, int]) -> Fraction:
        """Return the length of half the pixel range in every value."""
        return Fraction(128, 255) * Fraction(float(np.sqrt(np.prod(shape)))).limit_denominator(1000)


def _norms(levels: Tensor) -> Tensor:
    """Return the L2 norm of each image, ``(N,)``."""
    if levels.device.type == "cpu":
        # numpy's order of summation decides the last bits, and with them the bytes of sets made earlier.
        return torch.from_numpy(np.linalg.norm(levels.flatten(1).numpy(), axis=1))
    norms: Tensor = torch.linalg.vector_norm(levels.flatten(1), dim=1)
    return norms
