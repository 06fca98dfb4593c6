"""Every value of every pixel may change by epsilon."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import SpecError
from torch import Tensor

from robench_plugins.constraints.levels import Values, changed_levels


class Linf(Values):
    """The largest change of a value, in ``[0, 1]`` pixel units: each of the 3 values of each pixel may change by it.

    What lies outside is rounded to 8 bits and clipped to ``floor(255 * radius)`` levels on either side, which is the
    nearest image of the ball.
    """

    def require(self, radius: Fraction) -> None:
        """Refuse a radius that changes more than black to white.

        Raises:
            SpecError: It does.
        """
        if radius > 1:
            raise SpecError(f"epsilon must be within [0, 1] pixel units, such as 8/255 (got {radius})")

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the largest change of a value of each image."""
        return changed_levels(clean, changed).abs().amax(dim=1) / 255

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images change no value by more than the whole levels of the radius."""
        return changed_levels(clean, changed).abs().amax(dim=1) <= int(radius * 255)

    def cut(self, levels: Tensor, radius: Fraction) -> Tensor:
        """Return `levels`, rounded and clipped."""
        return levels.round().clamp(-int(radius), int(radius))

    def far(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are more than half a level outside."""
        change = (perturbed.clamp(0, 1) * 255 - clean).flatten(1)
        return change.abs().amax(dim=1) > float(radius * 255) + 0.5

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        """Return images moved by the radius along the sign of `direction`."""
        return (images + float(radius) * direction.sign()).clamp(0, 1)

    def varied(self, images: Tensor, best: Tensor, radius: Fraction, share: float) -> Tensor:
        """Return images with a random square set to plus or minus the radius in each channel."""
        rows, columns, sign = square(images, share)
        change = best - images
        change[:, :, rows, columns] = float(radius) * sign
        return (images + change).clamp(0, 1)

    def scaled(self, radius: Fraction, factor: Fraction) -> Fraction | None:
        """Return `factor` times the radius, 1 at most."""
        found = super().scaled(radius, factor)
        return None if found is None else min(found, Fraction(1))

    def huge(self, shape: tuple[int, int, int]) -> Fraction:
        """Return half the pixel range."""
        return Fraction(128, 255)


def square(images: Tensor, share: float) -> tuple[slice, slice, Tensor]:
    """Return the rows and columns of a random square, `share` of an image high and wide, and a random sign a channel.

    Source: Andriushchenko et al., "Square Attack", ECCV 2020, section 3, with squares of a simpler size.
    """
    n, channels, height, width = images.shape
    high, wide = (max(1, round(share * side)) for side in (height, width))
    top = int(torch.randint(height - high + 1, ()))
    left = int(torch.randint(width - wide + 1, ()))
    sign = torch.randn(n, channels, 1, 1, device=images.device).sign()
    return slice(top, top + high), slice(left, left + wide), sign
