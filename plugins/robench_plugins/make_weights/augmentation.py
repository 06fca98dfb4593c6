"""Random flips and shifts of a batch of images."""

from __future__ import annotations

import torch


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flip half of the images, and shift each by up to an eighth of its side, with reflected edges.

    Args:
        images: uint8 ``(N, 3, H, H)``.
        generator: The source of randomness.

    Returns:
        float32 ``(N, 3, H, H)`` in ``[0, 1]``.
    """
    n, _, side, _ = images.shape
    reach = side // 8
    offsets = torch.randint(-reach, reach + 1, (2, n, 1), generator=generator)
    rows, columns = (_reflect(torch.arange(side) + offset, side) for offset in offsets)
    flipped = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    picked = images[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    pixels = picked.permute(0, 3, 1, 2).float().div_(255)
    return pixels.contiguous()


def _reflect(index: torch.Tensor, side: int) -> torch.Tensor:
    index = index.abs()
    return torch.where(index >= side, 2 * (side - 1) - index, index)
