"""Resize images to the size that a network expects; gradients flow back to the original pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Sight:
    """How a network is shown images of another size than its own.

    Attributes:
        fit: ``crop`` resizes the shorter side and crops the centre; ``squash`` resizes both sides.
        interpolation: Between pixels, antialiased.
    """

    fit: Literal["crop", "squash"] = "crop"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


CLIP_SIGHT = Sight()


def brought_to(images: Tensor, size: int, sight: Sight) -> Tensor:
    """Return images ``(N, 3, H, W)`` in ``[0, 1]`` as ``(N, 3, size, size)`` in ``[0, 1]``.

    They are `images` themselves if they have that size.
    """
    if sight.fit == "crop" or images.shape[-2:] == (size, size):
        return resize_and_crop(images, size, sight.interpolation)
    resized = F.interpolate(images, (size, size), mode=sight.interpolation, antialias=True, align_corners=False)
    return resized.clamp(0, 1)  # bicubic interpolation can leave [0, 1]


def resize_and_crop(images: Tensor, size: int, interpolation: str = "bicubic") -> Tensor:
    """Resize the shorter side to `size` by antialiased interpolation, bicubic by default, then crop the centre.

    Args:
        images: ``(N, 3, H, W)`` in ``[0, 1]``.
        size: Height and width of the result, in pixels.

    Returns:
        ``(N, 3, size, size)`` in ``[0, 1]``; `images` themselves if they have that size.
    """
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    scale = size / min(height, width)
    target = (max(size, round(height * scale)), max(size, round(width * scale)))
    resized = F.interpolate(images, target, mode=interpolation, antialias=True, align_corners=False)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    # Bicubic interpolation can leave [0, 1].
    return resized[..., top : top + size, left : left + size].clamp(0, 1)
