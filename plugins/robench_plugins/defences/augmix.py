"""Random views of an image: crops, mirrored or not, mixed with changed versions of themselves (AugMix)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as V

CHAINS, LONGEST = 3, 3
"""Chains of operations that are mixed, and operations of a chain at most."""


def views_of(image: Tensor, n: int, *, augmix: bool) -> Tensor:
    """Return `n` random views ``float32 (n, 3, H, W)`` of an image ``(3, H, W)`` in ``[0, 1]``, through which
    gradients pass.

    A view is a crop of 8 to 100 % of the area, enlarged to the size of the image, mirrored half of the time. With
    `augmix` it is ``m v + (1 - m) sum_i w_i c_i(v)``: m is uniform, w from a Dirichlet distribution, and each of three
    chains c_i has one to three operations of severity 1. Rounding and equalising take the identity as their gradient.

    Source: Hendrycks et al., "AugMix: a simple data processing method to improve robustness and uncertainty", ICLR 2020
    (arXiv:1912.02781), algorithm 1, in the form of the code of TPT and R-TPT. Deviations: a crop has the size of the
    image, not 224 pixels, and translations are relative to it; geometric operations draw what lies outside as black,
    as there, but at positions in floating point.
    """
    return torch.stack([_mixed(view) if augmix else view for view in (_cropped(image) for _ in range(n))])


def _cropped(image: Tensor) -> Tensor:
    top, left, height, width = RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3])
    crop = image[:, top : top + height, left : left + width]
    size = list(image.shape[-2:])
    view = F.interpolate(crop[None], size, mode="bilinear", align_corners=False, antialias=True)[0].clamp(0, 1)
    return view.flip(-1) if torch.rand(()) < 0.5 else view


def _mixed(view: Tensor) -> Tensor:
    weights = torch.distributions.Dirichlet(torch.ones(CHAINS)).sample().tolist()
    share = float(torch.rand(()))
    mix = torch.zeros_like(view)
    for weight in weights:
        changed = view
        for _ in range(int(torch.randint(1, LONGEST + 1, ()))):
            changed = changed_by(int(torch.randint(9, ())), changed)
        mix = mix + weight * changed
    return share * view + (1 - share) * mix


def changed_by(operation: int, image: Tensor) -> Tensor:
    """Return an image ``(3, H, W)`` after one of nine operations of severity 1, with a random strength and sign."""
    level, sign = 0.1 + 0.9 * float(torch.rand(())), 1 if torch.rand(()) < 0.5 else -1
    height, width = image.shape[-2:]
    if operation == 0:
        low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
        return torch.where(high > low, (image - low) / (high - low).clamp_min(1e-12), image)
    if operation == 3:
        solarized: Tensor = V.solarize(image, (256 - int(level * 25.6)) / 255)
        return solarized
    if operation < 3:
        plain = image.detach()
        rounded: Tensor = V.equalize(plain) if operation == 1 else V.posterize(plain, 4)
        return image + (rounded - plain)
    shear, (right, down) = 0.03 * level * sign, (sign * int(level * side / 30) for side in (width, height))
    angle = math.radians(sign * int(level * 3))
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = width / 2, height / 2  # the point that a rotation leaves where it is
    rows = (
        ((cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)),
        ((1.0, shear, 0.0), (0.0, 1.0, 0.0)),
        ((1.0, 0.0, 0.0), (shear, 1.0, 0.0)),
        ((1.0, 0.0, float(right)), (0.0, 1.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, float(down))),
    )[operation - 4]
    return warped(image, rows)


def warped(image: Tensor, rows: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Tensor:
    """Return the image whose pixel at ``(x, y)`` is that of `image` at ``(a x + b y + c, d x + e y + f)``, bilinearly.

    Positions are of centres of pixels, as in ``PIL.Image.transform``; what lies outside is black.
    """
    height, width = image.shape[-2:]
    (a, b, c), (d, e, f) = rows
    x, y = 0.5 + torch.arange(width, device=image.device), 0.5 + torch.arange(height, device=image.device)
    across = a * x[None, :] + b * y[:, None] + c
    down = d * x[None, :] + e * y[:, None] + f
    grid = torch.stack([2 * across / width - 1, 2 * down / height - 1], dim=-1)[None].to(image)
    return F.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
