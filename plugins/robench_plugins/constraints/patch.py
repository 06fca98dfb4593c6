"""A square of an image may take any values."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.constraints.places import Places, changed_pixels


class Patch(Places):
    """The side of the square of pixels that holds every change, wherever it is, in pixels.

    Of an image outside, the square with the largest Euclidean change is kept, and all others are clean again, which is
    the nearest image of the ball.
    """

    usual = Fraction(8)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the side of the smallest square with every pixel that differs; at a border it may reach beyond."""
        differs = changed_pixels(clean, changed)
        return torch.maximum(_extent(differs.any(dim=2)), _extent(differs.any(dim=1))).double()

    def best(self, gains: Tensor, radius: Fraction) -> Tensor:
        """Return the square with the largest sum of gains."""
        (_, height, width), side = gains.shape, int(radius)
        if not len(gains) or side == 0:
            return torch.zeros_like(gains, dtype=torch.bool)
        high, wide = min(side, height), min(side, width)
        sums = F.avg_pool2d(gains[:, None], (high, wide), stride=1)[:, 0]
        place = sums.flatten(1).argmax(dim=1)
        top, left = place // sums.shape[2], place % sums.shape[2]
        rows, columns = (torch.arange(size, device=gains.device) for size in (height, width))
        inside_rows = (rows >= top[:, None]) & (rows < top[:, None] + high)
        inside_columns = (columns >= left[:, None]) & (columns < left[:, None] + wide)
        return inside_rows[:, :, None] & inside_columns[:, None, :]

    def huge(self, shape: tuple[int, int, int]) -> Fraction:
        """Return the longer side of an image."""
        return Fraction(max(shape[1:]))

    def written(self, radius: Fraction) -> str:
        """Return both sides, as in ``8x8 pixels``."""
        return f"{radius}x{radius} pixels"


def _extent(differs: Tensor) -> Tensor:
    """Return how far the first and the last that differ are apart, both counted, ``(N,)``; ``differs`` is (N, L)."""
    length = differs.shape[1]
    first = differs.int().argmax(dim=1)
    last = length - 1 - differs.flip(1).int().argmax(dim=1)
    return torch.where(differs.any(dim=1), last - first + 1, 0)
