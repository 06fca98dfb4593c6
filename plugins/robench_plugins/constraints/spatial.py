"""An image may be turned and moved."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from robench import Constraint, SpecError
from torch import Tensor
from torch.nn import functional as F

LARGEST = 45
"""Largest radius, in degrees."""
SHARE = Fraction(1, 300)
"""Shift that goes with a degree, as a share of a side: at 30 degrees a tenth of it."""
LOOKED_AT = 12
"""Pixels by which most turns and moves are ruled out before whole images are compared."""
TURNED = 1
"""Levels by which an image that was turned may differ from one turned on another machine; whole moves are exact."""


class Spatial(Constraint):
    """The angle, in degrees, by which an image was turned about its centre, and moved with it.

    The ball holds turns by whole degrees up to the radius and moves by whole pixels up to a 300th of each side for each
    degree: at 30 degrees a tenth of it, as in the paper. Pixels are interpolated, and what comes in is black. An image
    that is none of these counts as no attack: nothing is projected. Radii are at most 45 degrees.

    Source: Engstrom, Tran, Tsipras, Schmidt and Madry, "Exploring the landscape of spatial robustness", ICML 2019
    (arXiv:1712.02779), section 3. Deviation: whole degrees and pixels.
    """

    unit = "degrees"
    projected = False
    gradients_lead = False
    usual = Fraction(30)

    def require(self, radius: Fraction) -> None:
        """Refuse fractions of degrees, and too large a radius.

        Raises:
            SpecError: It is one.
        """
        super().require(radius)
        if radius > LARGEST:
            raise SpecError(f"epsilon must be within [0, {LARGEST}] degrees, such as 30 (got {radius})")

    def scaled(self, radius: Fraction, factor: Fraction) -> Fraction | None:
        """Return `factor` times the radius in whole degrees, 45 at most; None if that is 0 or the radius."""
        found = min(Fraction(int(radius * factor)), Fraction(LARGEST))
        return found if found >= 1 and found != radius else None

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return the smallest radius whose ball holds each image, infinite if none does."""
        return self._found(clean, changed, Fraction(LARGEST))

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are of the ball."""
        return self._found(clean, changed, radius) <= float(radius) + 1e-6

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> None:
        """Return None: pixel values have no direction here."""

    def noise(self, images: Tensor, radius: Fraction) -> Tensor:
        """Return images turned and moved as far as the ball allows, each way at random."""
        signs = torch.randint(0, 2, (3, len(images)), device=images.device) * 2 - 1
        down, right = shifts(images, radius)
        return transformed(images, signs[0] * int(radius), signs[1] * down, signs[2] * right)

    def _found(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return the smallest size up to `radius` of a turn and move that makes each image of the clean one."""
        sizes = torch.full((len(clean),), float("inf"), dtype=torch.float64, device=clean.device)
        sizes[(clean == changed).flatten(1).all(dim=1)] = 0
        left = sizes.isinf().nonzero().flatten()
        if not len(left):
            return sizes
        before, after = clean[left].float() / 255, changed[left].float()
        for size, at, angle, down, right in sorted(_possible(before, after, radius)):
            if size >= sizes[left[at]]:
                continue
            one = torch.ones(1, device=clean.device)
            made = transformed(before[at : at + 1], angle * one, down * one, right * one) * 255
            if (made.round() - after[at]).abs().max() <= (TURNED if angle else 0):
                sizes[left[at]] = size
        return sizes


def shifts(images: Tensor, radius: Fraction) -> tuple[int, int]:
    """Return how many whole pixels images may move down and to the right at a radius."""
    height, width = images.shape[2:]
    return int(radius * SHARE * height), int(radius * SHARE * width)


def transformed(images: Tensor, angles: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return images turned counter-clockwise by `angles` in degrees, then moved by whole pixels, each ``(N,)``."""
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[2:])
    pixels = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).double()
    moved = pixels - torch.stack([down, right], dim=-1).double().view(-1, 1, 1, 2)
    return _sampled(images, _turned(images, angles, moved))


def _turned(images: Tensor, angles: Tensor, pixels: Tensor) -> Tensor:
    """Return where `pixels` ``float64 (N, A, B, 2)``, rows and columns before a turn, come from, for grid_sample."""
    height, width = images.shape[2:]
    radians = torch.deg2rad(angles.double()).view(-1, 1, 1)
    y, x = pixels[..., 0] - (height - 1) / 2, pixels[..., 1] - (width - 1) / 2
    from_x = x * radians.cos() - y * radians.sin()
    from_y = x * radians.sin() + y * radians.cos()
    return torch.stack([2 * from_x / width, 2 * from_y / height], dim=-1).to(images.dtype)


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _possible(before: Tensor, after: Tensor, radius: Fraction) -> Iterator[tuple[float, int, int, int, int]]:
    """Yield turns and moves of the ball that a few pixels do not rule out, with their size and the image's place."""
    (n, _, height, width), device = before.shape, before.device
    down, right = shifts(before, radius)
    moves = [(y, x) for y in range(-down, down + 1) for x in range(-right, right + 1)]
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randint(size, (LOOKED_AT,), generator=generator) for size in (height, width))
    spots = torch.stack([rows, columns], dim=-1).to(device)
    there = after[:, :, spots[:, 0], spots[:, 1]][:, :, None]
    moved = (spots - torch.tensor(moves, device=device)[:, None]).double()
    for angle in range(-int(radius), int(radius) + 1):
        grid = _turned(before, torch.full((1,), angle, device=device), moved[None]).expand(n, -1, -1, -1)
        seem = ((_sampled(before, grid) * 255).round() - there).abs().amax(dim=(1, 3)) <= TURNED
        for at, move in seem.nonzero().tolist():
            y, x = moves[move]
            if angle or y or x:
                yield max(abs(angle), abs(y) / float(SHARE * height), abs(x) / float(SHARE * width)), at, angle, y, x
