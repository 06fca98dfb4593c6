"""The changes of all values of an image add up to epsilon at most."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from robench_plugins.constraints.levels import Values, changed_levels


class L1(Values):
    """The sum of the absolute changes of all values of an image, in ``[0, 1]`` pixel units.

    At radius 12, which papers use at 32 pixels, 12 values can turn from black to white, or 96 change by 32 levels.

    What lies outside is projected on the nearest point of the ball: every change shrinks by the same amount, and those
    that are smaller vanish. As the clean image is within ``[0, 1]``, so is that point. Of its fractions of levels the
    largest are rounded up, as far as the radius allows, and the others down.

    Source of the projection: Duchi et al., "Efficient projections onto the l1-ball for learning in high dimensions",
    ICML 2008, section 4.
    """

    usual = Fraction(12)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the sum of the changes of each image."""
        return changed_levels(clean, changed).abs().sum(dim=1) / 255

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images change by no more; sums of levels are whole numbers."""
        return changed_levels(clean, changed).abs().sum(dim=1) <= float(radius * 255)

    def cut(self, levels: Tensor, radius: Fraction) -> Tensor:
        """Return whole levels near `levels` whose absolute sum for each image is at most `radius`."""
        lengths = shrunk(levels.flatten(1).double().abs(), float(radius))
        whole = lengths.floor()
        left = int(radius) - whole.sum(dim=1)
        share, order = (lengths - whole).sort(dim=1, descending=True, stable=True)
        place = torch.arange(1, lengths.shape[1] + 1, device=levels.device)
        up = (share >= 0.5) & (place <= left[:, None])
        whole = whole + torch.zeros_like(whole).scatter(1, order, up.double())
        return (whole * levels.flatten(1).sign()).view_as(levels).to(levels.dtype)

    def far(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are farther than rounding every changed value explains."""
        change = (perturbed.clamp(0, 1) * 255 - clean).flatten(1).abs()
        return change.sum(dim=1) > 1.01 * float(radius * 255) + 0.5 * (change > 0.1).sum(dim=1)

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        """Return images with values at their bounds, by falling `direction`, until the changes add up to the radius."""
        along, pixels = direction.flatten(1), images.flatten(1)
        room = torch.where(along > 0, 1 - pixels, pixels).double()
        order = along.abs().sort(dim=1, descending=True, stable=True).indices
        sums = room.gather(1, order).cumsum(dim=1)
        change = (float(radius) - sums + room.gather(1, order)).clamp_min(0).minimum(room.gather(1, order))
        moved = torch.zeros_like(room).scatter(1, order, change) * along.sign()
        return (pixels + moved).view_as(images).to(images.dtype).clamp(0, 1)

    def huge(self, shape: tuple[int, int, int]) -> Fraction:
        """Return the sum of half the pixel range in every value."""
        return Fraction(128, 255) * shape[0] * shape[1] * shape[2]

    def written(self, radius: Fraction) -> str:
        """Return the radius, such as ``12``: over 255 only where it is no whole number."""
        return str(radius) if radius.denominator == 1 else super().written(radius)

    def told(self, size: float) -> str:
        """Return a size to four digits."""
        return f"{size:.4g}"


def shrunk(lengths: Tensor, radius: float) -> Tensor:
    """Return the nearest point to `lengths` ``float64 (N, D)``, not negative, whose sum is at most `radius`."""
    ordered = lengths.sort(dim=1, descending=True).values
    excess = (ordered.cumsum(dim=1) - radius) / torch.arange(
        1, lengths.shape[1] + 1, dtype=lengths.dtype, device=lengths.device
    )
    last = ((ordered > excess).sum(dim=1, keepdim=True) - 1).clamp_min(0)
    cut = excess.gather(1, last).clamp_min(0)
    return (lengths - cut).clamp_min(0)
