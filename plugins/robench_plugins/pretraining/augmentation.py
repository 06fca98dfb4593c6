"""Random flips, shifts and brightness of a batch of images, as tensor operations."""

from __future__ import annotations

import torch


def augment(images: torch.Tensor, generator: torch.Generator, *, jitter: float = 0.0) -> torch.Tensor:
    """Flip, shift by up to an eighth of the side (edges reflected) and rescale the contrast of every image.

    Args:
        images: uint8 ``(N, 3, H, H)``.
        generator: Source of randomness.
        jitter: Brightness and contrast change by factors of up to ``1 +- jitter``.

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
    if jitter:
        contrast, brightness = 1 + jitter * (2 * torch.rand(2, n, 1, 1, 1, generator=generator) - 1)
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = ((pixels - mean) * contrast + mean * brightness).clamp(0, 1)
    return pixels.contiguous()


def _reflect(index: torch.Tensor, side: int) -> torch.Tensor:
    index = index.abs()
    return torch.where(index >= side, 2 * (side - 1) - index, index)
