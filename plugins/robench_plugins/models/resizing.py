"""Resize images to the size that a network expects; gradients flow back to the original pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize_and_crop(images: Tensor, size: int) -> Tensor:
    """Resize the shorter side to `size` by antialiased bicubic interpolation, then crop the centre.

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
    resized = F.interpolate(images, target, mode="bicubic", antialias=True, align_corners=False)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    # Bicubic interpolation can leave [0, 1].
    return resized[..., top : top + size, left : left + size].clamp(0, 1)
