"""Clouds of random shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray


def plasma(random: Sequence[RandomState], height: int, width: int, decay: float) -> NDArray[np.float32]:
    """Return a cloud for each image, ``float32 (N, height, width)`` in ``[0, 1]``, by the diamond-square algorithm.

    Each point is the mean of four that are known, and a random offset, which shrinks by `decay` from one scale to the
    next. The square wraps around at its edges.

    Source: Fournier, Fussell and Carpenter, "Computer rendering of stochastic models", 1982, with the offsets of the
    programs of Hendrycks and Dietterich.
    """
    side = 1 << max(1, (max(height, width) - 1).bit_length())
    clouds = np.zeros((len(random), side, side))
    step, offset = side, 100.0

    def known(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.stack([each.uniform(-offset, offset, sums.shape[1:]) for each in random])
        return sums / 4 + offset * drawn

    while step >= 2:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        clouds[:, half::step, half::step] = known(pairs + np.roll(pairs, -1, axis=2))
        centres = clouds[:, half::step, half::step]
        # The corners may have changed nothing, but each edge lies between two corners and two centres.
        clouds[:, ::step, half::step] = known(
            centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=2)
        )
        clouds[:, half::step, ::step] = known(
            centres + np.roll(centres, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        )
        step, offset = half, offset / decay
    clouds -= clouds.min(axis=(1, 2), keepdims=True)
    clouds /= np.maximum(clouds.max(axis=(1, 2), keepdims=True), 1e-12)
    return clouds[:, :height, :width].astype(np.float32)
