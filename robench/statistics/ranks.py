"""Ranks of models by tests of all pairs on the same images, fast enough for tables of thousands of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 1 - 0.95
"""Significance level of all tests of a table together."""
EXACT_BELOW = 25
"""McNemar's test is exact if two models disagree on fewer images than this."""
BLOCK = 256
"""Rows compared with all better ones at a time, which limits the memory."""
FEW = 1000
"""Rows up to which one thread compares a table as fast as several."""

Mask = NDArray[np.bool_]
Counts = NDArray[np.integer]


def ranks(masks: Sequence[Mask] | Mask) -> list[int]:
    """Return for each model one more than the number of models that are significantly more accurate.

    Models that the images cannot tell apart share a rank. All pairs are tested on the same images by McNemar's test at
    5 %, adjusted for the number of tests by Holm's method.

    Args:
        masks: Which images each model has right, ``bool (models, n)``.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979. Most pairs are decided whatever their
    place in the order of p-values, so only the others are sorted.
    """
    if len(masks) < 2:
        return [1] * len(masks)
    order = np.argsort(-np.count_nonzero(masks, axis=1), kind="stable")
    stacked = np.asarray(masks)[order].astype(np.float32)  # counts below 2**24 are exact
    right = stacked.sum(axis=1)
    n_pairs, n = len(right) * (len(right) - 1) // 2, stacked.shape[1]
    surely, perhaps = _most(n_pairs, n), _most(1, n)
    better, unsure = np.zeros(len(right), dtype=np.int64), []
    for start in range(0, len(right), BLOCK):
        stop = min(start + BLOCK, len(right))
        # Several threads are no faster for a small product, and much slower beside other work.
        with _blas().limit(limits=1 if len(right) <= FEW else None, user_api="blas"):
            both = stacked[start:stop] @ stacked[:stop].T
        fewer = (right[start:stop, None] - both).astype(np.int32)
        total = fewer + (right[:stop] - both).astype(np.int32)
        total *= np.tri(
            stop - start, stop, k=start - 1, dtype=np.int32
        )  # each pair once: the others count as never disagreeing
        differ = fewer <= np.take(surely, total)
        better[start:stop] = differ.sum(axis=1)
        rows, columns = np.nonzero((fewer <= np.take(perhaps, total)) ^ differ)
        found = (rows.astype(np.int32) + start, fewer[rows, columns], total[rows, columns])
        unsure.append(np.stack(found))
    differing = _holm(np.concatenate(unsure, axis=1), int(better.sum()), n_pairs)
    better += np.bincount(differing, minlength=len(better))
    ranked = np.empty_like(better)
    ranked[order] = better + 1
    return [int(rank) for rank in ranked]


def p_values(fewer: Counts, total: Counts) -> NDArray[np.float64]:
    """Return McNemar's two-sided p-values of pairs of models.

    Args:
        fewer: Images that only the less accurate model of each pair has right, ``(pairs,)``.
        total: Images that only one of the two has right, ``(pairs,)``.

    Source: McNemar 1947; exact below 25 images, else with continuity correction.
    """
    from scipy.special import bdtr, chdtrc

    few = total < EXACT_BELOW
    p = np.empty(len(total))
    p[few] = 2 * bdtr(fewer[few], total[few], 0.5)
    p[~few] = chdtrc(1, (np.abs(total - 2 * fewer)[~few] - 1) ** 2 / total[~few])
    return np.minimum(p, 1.0)


@cache
def _blas() -> Any:
    """Return a controller of the threads that the loaded libraries use."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@lru_cache(maxsize=256)  # tables of a leaderboard have few different sizes
def _most(n_tests: int, n: int) -> NDArray[np.int32]:
    """Return, for pairs that disagree on 0, 1, ... `n` images, the largest significant ``fewer``; -1 if none is.

    Significant is a p-value below ``LEVEL / n_tests``.
    """
    total = np.arange(n + 1)
    low, high = np.full(n + 1, -1), total // 2 + 1
    while (high - low > 1).any():
        middle = np.maximum((low + high) // 2, 0)
        passes = p_values(middle, total) * n_tests < LEVEL
        low, high = np.where(passes, middle, low), np.where(passes, high, middle)
    return low.astype(np.int32)


def _holm(unsure: Counts, n_surely: int, n_tests: int) -> Counts:
    """Return the rows of the pairs that are significant by Holm's method.

    Args:
        unsure: Row, ``fewer`` and ``total`` of the pairs whose place in the order of p-values decides, ``(3, pairs)``.
        n_surely: The number of pairs that are significant whatever their place.
        n_tests: The number of all pairs.
    """
    from scipy.special import chdtri

    row, fewer, total = unsure
    # Even in last place a pair with a larger p-value than this cannot pass; the bound has an image to spare.
    least = chdtri(1, LEVEL / (n_tests - n_surely - len(row) + 1))
    near = (total < EXACT_BELOW) | (fewer <= (total - 1 - np.sqrt(least * total)) / 2 + 1)
    row, fewer, total = unsure[:, near]
    base = int(total.max(initial=0)) + 1
    codes, which, counts = np.unique(fewer.astype(np.int64) * base + total, return_inverse=True, return_counts=True)
    p = p_values(*np.divmod(codes, base))
    order = np.argsort(p, kind="stable")
    place = n_surely + np.cumsum(counts[order]) - counts[order]
    passes = np.empty(len(p), dtype=bool)
    passes[order] = np.logical_and.accumulate(p[order] * (n_tests - place) < LEVEL)
    return np.asarray(row[passes[which]])
