"""A number of pixels may take any values."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from robench_plugins.constraints.places import Places, changed_pixels


class L0(Places):
    """The number of pixels that change, in any of their channels and by any amount.

    Of an image outside, the pixels with the largest Euclidean change are kept, and the others are clean again, which is
    the nearest image of the ball.
    """

    usual = Fraction(20)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the number of pixels that differ."""
        return changed_pixels(clean, changed).flatten(1).sum(dim=1).double()

    def best(self, gains: Tensor, radius: Fraction) -> Tensor:
        """Return the pixels with the largest gains."""
        flat = gains.flatten(1)
        order = flat.sort(dim=1, descending=True, stable=True).indices[:, : int(radius)]
        return torch.zeros_like(flat, dtype=torch.bool).scatter(1, order, True).view_as(gains)

    def huge(self, shape: tuple[int, int, int]) -> Fraction:
        """Return the number of all pixels."""
        return Fraction(shape[1] * shape[2])
