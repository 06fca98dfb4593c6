"""Blur: Gaussian, defocus, glass, motion and zoom. Images are ``float32 (N, 3, H, W)`` in ``[0, 1]``."""

from __future__ import annotations

from math import ceil, cos, pi, sin
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from robench_plugins.corruptions.noise import Randoms
from robench_plugins.corruptions.resampling import Images, blurred, zoom_matrix


def gaussian_blur(images: Images, random: Randoms, strength: float) -> Images:
    """Blur with a standard deviation of `strength` pixels."""
    return blurred(images, strength)


def defocus_blur(images: Images, random: Randoms, strength: tuple[float, float]) -> Images:
    """Spread each pixel over a disc, by its radius and the softness of its edge in pixels."""
    kernel = disc(*strength)
    margin = len(kernel) // 2
    padded = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="reflect")
    weights = torch.from_numpy(kernel).expand(3, 1, *kernel.shape)
    found: Images = torch.nn.functional.conv2d(torch.from_numpy(padded), weights, groups=3).numpy()
    return found


def disc(radius: float, softness: float) -> Images:
    """Return the kernel of a disc whose edge is blurred, without the margin of zeros.

    As in the published program, the blur mirrors the disc at the border of its square, so that the largest discs
    brighten images by a few percent.
    """
    reach = 8 if radius <= 8 else int(radius)
    taps = 3 if radius <= 8 else 5
    across = np.arange(-reach, reach + 1)
    kernel = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    edge = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        kernel = correlate1d(kernel, edge / edge.sum(), axis=axis, mode="mirror")
    used = np.flatnonzero(kernel[reach] > 0)
    return kernel[used[0] : used[-1] + 1, used[0] : used[-1] + 1].astype(np.float32)


def glass_blur(images: Images, random: Randoms, strength: tuple[float, int, int]) -> Images:
    """Move pixels about as frosted glass does, between two blurs: by the blur, the farthest move and the rounds.

    As in the published program, which takes 8 bits between and in which an exchange of two pixels copies one over the
    other.
    """
    sigma, reach, rounds = strength
    n, _, height, width = images.shape
    soft = np.floor(blurred(images, sigma) * 255 + 1e-3) / np.float32(255)
    source = np.tile(np.arange(height * width), (n, 1))
    rows, columns = (range(side - reach, reach, -1) for side in (height, width))
    size = (rounds, max(len(rows), 0), max(len(columns), 0), 2)
    moves = np.stack([each.randint(-reach, reach, size=size, dtype=np.int8) for each in random]).astype(np.int64)
    everyone = np.arange(n)
    for turn in range(rounds):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                across, down = moves[:, turn, i, j, 0], moves[:, turn, i, j, 1]
                source[:, row * width + column] = source[everyone, (row + down) * width + column + across]
    flat = soft.reshape(n, 3, -1)
    moved = np.take_along_axis(flat, source[:, None], axis=2).reshape(images.shape)
    return blurred(moved.astype(np.float32), sigma)


def motion_blur(images: Images, random: Randoms, strength: tuple[float, float]) -> Images:
    """Blur along a line of a random direction within 45 degrees of the horizontal, by its length and its fading."""
    return np.stack(
        [smeared(image, *strength, each.uniform(-45, 45)) for image, each in zip(images, random, strict=True)]
    )


def smeared(image: Images, radius: float, sigma: float, angle: float) -> Images:
    """Return an image ``(C, H, W)`` smeared to one side along a line.

    Source: ``MotionBlurImage`` of ImageMagick, which the published programs call: a half-Gaussian along the line, at
    whole pixels, with the edge repeated.

    Args:
        radius: Half of the number of pixels on the line, without the first.
        sigma: The standard deviation of the half-Gaussian, in pixels.
        angle: Its direction, in degrees.
    """
    taps = 2 * ceil(radius) + 1
    weights = np.exp(-(np.arange(taps) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    down, right = (_rounded(np.arange(taps) * part) for part in (sin(angle * pi / 180), cos(angle * pi / 180)))
    height, width = image.shape[-2:]
    padded = np.pad(image, ((0, 0), (taps, taps), (taps, taps)), mode="edge")
    out = np.zeros_like(image)
    for weight, row, column in zip(weights, taps + down, taps + right, strict=True):
        out += np.float32(weight) * padded[:, row : row + height, column : column + width]
    return out


def _rounded(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.ceil(values - 0.5).astype(np.int64)


def zoom_blur(images: Images, random: Randoms, strength: tuple[float, float]) -> Images:
    """Take the mean over zooms from 1 to a limit, by the limit and the step between them."""
    limit, step = strength
    factors = np.arange(1, limit, step)
    height, width = images.shape[-2:]
    total = images.copy()
    for factor in factors:
        total += zoom_matrix(height, factor) @ images @ zoom_matrix(width, factor).T
    return total / np.float32(len(factors) + 1)
