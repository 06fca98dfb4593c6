"""Zooming, sampling between pixels and blurring of batches of images ``float32 (..., H, W)``."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Images = NDArray[Any]
"""``float32``; NumPy's types promise float64 where it computes in float32."""


def blurred(images: Images, sigma: float, mode: Any = "nearest", truncate: float = 4.0) -> Images:
    """Return images under a Gaussian blur along height and width, with the edges that scikit-image has by default."""
    if sigma <= 0:
        return images
    axes = (images.ndim - 2, images.ndim - 1)
    found: Images = gaussian_filter(images, sigma, mode=mode, truncate=truncate, axes=axes)
    return found


def zoom_matrix(side: int, factor: float) -> Images:
    """Return the matrix ``(side, side)`` that enlarges the middle of a line of pixels, with linear interpolation.

    The first and the last pixel of the middle stay at the ends, as of ``scipy.ndimage.zoom``; what sticks out is cut.
    """
    kept = ceil(side / factor)
    first, enlarged = (side - kept) // 2, round(kept * factor)
    places = np.arange(side) + (enlarged - side) // 2
    at = places * (kept - 1) / (enlarged - 1) if enlarged > 1 else places * 0.0
    low = np.minimum(at.astype(np.int64), kept - 1)
    high = np.minimum(low + 1, kept - 1)
    matrix = np.zeros((side, side), np.float32)
    np.add.at(matrix, (np.arange(side), first + low), 1 - (at - low))
    np.add.at(matrix, (np.arange(side), first + high), at - low)
    return matrix


def zoomed(images: Images, factor: float) -> Images:
    """Return the middle of images, enlarged to their size."""
    height, width = images.shape[-2:]
    found: Images = zoom_matrix(height, factor) @ images @ zoom_matrix(width, factor).T
    return found


def sampled(images: Images, rows: NDArray[Any], columns: NDArray[Any], *, edge_twice: bool) -> Images:
    """Return images ``(N, C, H, W)`` read between pixels at ``rows`` and ``columns``, each ``(N, H, W)``.

    Beyond the edge the image is mirrored.

    Args:
        edge_twice: Whether the mirror repeats the pixels of the edge.
    """
    n, channels, height, width = images.shape
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = ((at - start).astype(np.float32)[:, None] for at, start in ((rows, top), (columns, left)))
    flat = images.reshape(n, channels, -1)

    def read(row: NDArray[np.int64], column: NDArray[np.int64]) -> Images:
        at = _mirrored(row, height, edge_twice) * width + _mirrored(column, width, edge_twice)
        return np.take_along_axis(flat, at.reshape(n, 1, -1), axis=2).reshape(images.shape)

    above = read(top, left) * (1 - right) + read(top, left + 1) * right
    below = read(top + 1, left) * (1 - right) + read(top + 1, left + 1) * right
    found: Images = above * (1 - down) + below * down
    return found


def _mirrored(at: NDArray[np.int64], side: int, edge_twice: bool) -> NDArray[np.int64]:
    if side == 1:
        return np.zeros_like(at)
    period = 2 * side if edge_twice else 2 * side - 2
    at = at % period
    return np.where(at < side, at, period - (1 if edge_twice else 0) - at)
