"""The colours of an image may change, each value of a channel to one other."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.constraints.linf import Linf

LEVELS = 256
ROUNDED = 0.5 + 1e-3
"""Levels by which rounding to 8 bits may move a value away from a curve."""
PARTS = 2**24
"""Into how many parts the largest slope is divided: whole numbers add up to the same in any order."""


class Colour(Linf):
    """The largest change of a value, in ``[0, 1]`` pixel units, if tone curves make it: one for each channel.

    A tone curve says for each value of a channel which value takes its place, wherever it is in the image. Its slope is
    between 0 and 2: what was lighter stays lighter or becomes equal, and no contrast more than doubles. So brightness,
    contrast and the cast of the light may change. An image that no such curves make, up to rounding to 8 bits, has an
    infinite size. It is projected on the curves that change its values least, and clipped to the radius.

    Sources: Laidlaw and Feizi, "Functional adversarial attacks", NeurIPS 2019 (arXiv:1906.00001): one function changes
    the colours of all pixels, each channel by at most epsilon, and similar colours alike. Zhao, Liu and Larson,
    "Adversarial color enhancement", BMVC 2020 (arXiv:2002.01008): one curve for each channel, which never falls.
    Deviations: RGB instead of CIELUV; no channel depends on another; and the slope is bounded. The first punishes
    functions that are not smooth and the second gives curves few pieces, which cannot be measured on images.
    """

    usual = Fraction(16, 255)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the largest change of a value of each image, infinite if no curves make it."""
        return super().sizes(clean, changed).where(missed(clean, changed) <= ROUNDED, float("inf"))

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are made by curves that change no value by more than the whole levels of the radius."""
        return super().inside(clean, changed, radius) & (missed(clean, changed) <= ROUNDED)

    def project(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return the images of the ball whose values are nearest to `perturbed`, up to rounding.

        Raises:
            BudgetError: The radius is above 0 and below 1/255.
        """
        levels = (perturbed.clamp(0, 1) * 255).round()
        kept = self.inside(clean, levels, radius).view(-1, 1, 1, 1)
        near = nearest_curves(clean, perturbed.clamp(0, 1) * 255).round().to(levels.dtype)
        return super().project(clean, torch.where(kept, levels, near) / 255, radius)

    def far(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are more than half a level outside, or away from all curves."""
        levels = perturbed.clamp(0, 1) * 255
        return super().far(clean, perturbed, radius) | (missed(clean, levels) > ROUNDED)

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        """Return the images of the ball that are furthest along `direction`; a channel without one stays as it is.

        The best curve is found value by value, for each change that a value may have: dynamic programming. Its sums are
        of whole numbers, so that they are the same on every machine.
        """
        if not len(images):
            return images.clone()
        values, slopes = whole(images * 255), direction.flatten(2).double()
        parts = PARTS * slopes / slopes.abs().amax(dim=2, keepdim=True).clamp_min(1e-300)
        gains = torch.zeros(*values.shape[:2], LEVELS, dtype=torch.int64, device=values.device)
        gains = gains.scatter_add(2, values, parts.round().long())
        changes = _best_changes(gains.double(), int(radius * 255)).gather(2, values).view_as(images)
        moved = (images + changes.to(images.dtype) / 255).clamp(0, 1)
        return torch.where((gains != 0).any(dim=2)[..., None, None], moved, images)

    def varied(self, images: Tensor, best: Tensor, radius: Fraction, share: float) -> Tensor:
        """Return images with a random range of values moved by plus or minus the radius in each channel.

        The range is `share` of all values wide, around the value of a random pixel.
        """
        values = whole(images * 255)
        middle = values.gather(2, torch.randint(values.shape[2], (*values.shape[:2], 1), device=values.device))
        within = ((values - middle).abs() <= share * LEVELS / 2).view_as(images)
        sign = torch.randn(*images.shape[:2], 1, 1, device=images.device).sign()
        moved = torch.where(within, images + float(radius) * sign, best)
        return self.project(values.view_as(images).to(torch.uint8), moved, radius).to(images.dtype) / 255


def nearest_curves(clean: Tensor, levels: Tensor) -> Tensor:
    """Return what curves make of `clean`, nearest to `levels` in their largest change.

    The change of a value is the middle between the least that the changes around it leave possible, and the most.

    Args:
        clean: Whole levels, ``(N, 3, H, W)``.
        levels: Levels of the same shape, not rounded.

    Returns:
        Levels ``float64 (N, 3, H, W)``, not rounded.
    """
    values = whole(clean)
    wanted = levels.flatten(2).double() - values
    least = wanted.new_full((*values.shape[:2], LEVELS), float("-inf"))
    least = _spread(least.scatter_reduce(2, values, wanted, "amax"))
    most = wanted.new_full((*values.shape[:2], LEVELS), float("inf"))
    most = -_spread(-most.scatter_reduce(2, values, wanted, "amin"))
    change = (least.gather(2, values) + most.gather(2, values)) / 2
    return (values + change).view_as(clean)


def missed(clean: Tensor, levels: Tensor) -> Tensor:
    """Return by how many levels each image misses its nearest curves, ``float64 (N,)``."""
    return (nearest_curves(clean, levels) - levels).abs().flatten(1).amax(dim=1)


def whole(levels: Tensor) -> Tensor:
    """Return the whole levels of each channel, ``int64 (N, 3, H * W)``."""
    return levels.flatten(2).round().long() if levels.is_floating_point() else levels.flatten(2).long()


def _spread(changes: Tensor) -> Tensor:
    """Return the largest of all changes, each less its distance, at every value; ``(N, 3, LEVELS)``."""
    at = torch.arange(LEVELS, device=changes.device)
    below = (changes + at).cummax(dim=2).values - at
    above = (changes - at).flip(2).cummax(dim=2).values.flip(2) + at
    return torch.maximum(below, above)


def _best_changes(gains: Tensor, reach: int) -> Tensor:
    """Return the change of each value, in whole levels, with the largest sum of gains; ``(N, 3, LEVELS)``.

    Changes of neighbouring values differ by one level at most, and none is larger than `reach`. One beyond black or
    white counts as far as these.
    """
    changes = torch.arange(-reach, reach + 1, device=gains.device, dtype=gains.dtype)
    totals, came = torch.zeros(*gains.shape[:2], len(changes), dtype=gains.dtype, device=gains.device), []
    for value in range(LEVELS):
        if value:
            totals, before = F.max_pool1d(totals, 3, stride=1, padding=1, return_indices=True)
            came.append(before)
        moves = (value + changes).clamp(0, LEVELS - 1) - value
        totals = totals + gains[:, :, value : value + 1] * moves
    place = totals.argmax(dim=2, keepdim=True)
    places = [place]
    for before in reversed(came):
        place = before.gather(2, place)
        places.append(place)
    return torch.cat(places[::-1], dim=2) - reach
