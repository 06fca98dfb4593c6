"""Ranges of ranks from tests of all pairs of methods, fast enough for tables of thousands of rows.

**What is claimed.** One method is *significantly better* than another if a test of this pair says so at the level of
all pairs together (Bonferroni). Two methods are *told apart* if every method at least as good as the better one is
significantly better than every method no better than the worse one. A method's lowest rank is one more than the number
of methods told apart above it; its highest rank is the number of methods that are not told apart below it.

**Why it holds.** Counting significant pairs gives simultaneous confidence sets for ranks: Mogstad, Romano, Shaikh,
Wilhelm, "Inference for ranks with applications to mobility across neighbourhoods and academic achievement across
countries", Review of Economic Studies 2024. Asking for whole groups only drops claims, so the sets still cover. In
exchange a better figure never has a worse range, and a method that gets one image more right never falls.

**The test of a pair.** With one run each: McNemar's exact test ("Note on the sampling error of the difference between
correlated proportions", 1947). With several runs of some method, a method's figure is the mean over its runs. The
squared difference, less one image, must exceed the sum of two allowances, as every part is bounded by itself:

- for images, the squared normal quantile times the images on which a run of one and a run of the other disagree, which
  is McNemar's with continuity correction for one run and no smaller than the variance of the mean for several;
- for seeds, the squared quantile of Student's t times the variance of the two means over seeds. A method's variance is
  its own or the one pooled over all methods, whichever is larger; a method with one run has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 1 - 0.95
"""Significance level of all tests of a table together."""
FEWEST_FREE = 4
"""Degrees of freedom from which on the variance over seeds is counted; two methods of three runs have four."""
BLOCK = 256
"""Methods compared with all better ones at a time, which limits the memory."""
FEW = 1000
"""Methods up to which one thread compares a table as fast as several."""

Mask = NDArray[np.bool_]
Counts = NDArray[np.integer]
Floats = NDArray[np.float64]


def rank_ranges(
    right: Sequence[Mask] | Mask, starts: Sequence[int] | Counts | None = None, figures: Floats | None = None
) -> list[tuple[int, int]]:
    """Return for each method the lowest and the highest rank that images and seeds leave it, best is 1.

    Args:
        right: Which images each run has right, ``bool (runs, n)``; runs of one method stand together.
        starts: Where each method's runs start, ``(methods,)``; None for one run each.
        figures: What the table shows of each method, higher is better, ``(methods,)``; None for the mean accuracy.
    """
    runs = np.asarray(right)
    if not len(runs):
        return []
    first = np.arange(len(runs)) if starts is None else np.asarray(starts)
    n_runs = np.diff(first, append=len(runs))
    counts = runs if len(first) == len(runs) else np.add.reduceat(runs, first, axis=0, dtype=np.uint16)
    if figures is None:
        figures = counts.sum(axis=1, dtype=np.int64) / n_runs
    order = np.argsort(-figures, kind="stable")
    variance, free = seed_variance(np.count_nonzero(runs, axis=1), first)
    better = _first_not_better(counts[order], n_runs[order], variance[order], free)
    # Groups of equal figures: where each starts, and for each method the start of its own.
    group = np.searchsorted(-figures[order], -figures[order], side="left")
    lowest = np.minimum.accumulate(better[::-1])[::-1][group]  # over all methods that are no better
    above = group[lowest]  # a group counts as a whole or not at all
    ranges = np.empty((len(order), 2), dtype=np.int64)
    ranges[order, 0] = above + 1
    ranges[order, 1] = np.searchsorted(above, group, side="right")
    return [(int(low), int(high)) for low, high in ranges]


def seed_variance(totals: Counts, starts: Counts) -> tuple[Floats, int]:
    """Return the variance of each method's mean over seeds, in squared images, and its degrees of freedom.

    Both are 0 if there are too few runs to say.

    Args:
        totals: The number of images that each run has right, ``(runs,)``.
        starts: Where each method's runs start, ``(methods,)``.
    """
    n_runs = np.diff(starts, append=len(totals))
    free = int((n_runs - 1).sum())
    if free < FEWEST_FREE:
        return np.zeros(len(starts)), 0
    means = np.add.reduceat(totals, starts) / n_runs
    squares = np.add.reduceat((totals - np.repeat(means, n_runs)) ** 2, starts)
    own = squares / np.maximum(n_runs - 1, 1)
    return np.where(n_runs > 1, np.maximum(own, squares.sum() / free) / n_runs, 0.0), free


def p_values(fewer: Counts, total: Counts) -> Floats:
    """Return McNemar's exact two-sided p-values of pairs of models.

    Args:
        fewer: Images that only the less accurate model of each pair has right, ``(pairs,)``.
        total: Images that only one of the two has right, ``(pairs,)``.
    """
    from scipy.special import bdtr

    return np.minimum(2 * bdtr(fewer, total, 0.5), 1.0)


def _first_not_better(counts: Counts | Mask, n_runs: Counts, variance: Floats, free: int) -> Counts:
    """Return for each method, best first, the first that is not significantly better than it, at most itself."""
    alone, n = bool((n_runs == 1).all()), counts.shape[1]
    n_pairs = max(1, len(counts) * (len(counts) - 1) // 2)
    exact = alone or int(n_runs.max()) ** 2 * n < 2**24  # float32 counts exactly below that
    stacked: NDArray[np.floating] = counts.astype(np.float32 if exact else np.float64)
    right = stacked.sum(axis=1, dtype=np.float64)
    found = np.empty(len(counts), dtype=np.int64)
    for start in range(0, len(counts), BLOCK):
        stop = min(start + BLOCK, len(counts))
        # Several threads are no faster for a small product, and much slower beside other work.
        with _blas().limit(limits=1 if len(counts) <= FEW else None, user_api="blas"):
            both = stacked[start:stop] @ stacked[:stop].T
        if alone:
            fewer = (right[start:stop, None] - both).astype(np.int32)
            total = fewer + (right[:stop] - both).astype(np.int32)
            differ = (fewer <= np.take(_most(n_pairs, n), total)) & (2 * fewer < total)
        else:
            pairs = n_runs[start:stop, None] * n_runs[:stop]
            mean = right / n_runs
            worse, better = mean[start:stop, None], mean[:stop]
            normal, student = _quantiles(n_pairs, free)
            allowed = normal**2 * (worse + better - 2 * both / pairs)
            allowed += student**2 * (variance[start:stop, None] + variance[:stop])
            differ = (better - worse > 1) & ((better - worse - 1) ** 2 > allowed)
        differ &= np.tri(stop - start, stop, k=start - 1, dtype=bool)  # a method is compared with those before it
        found[start:stop] = np.argmin(differ, axis=1)  # one is always False: the method itself
    return found


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


@lru_cache(maxsize=256)
def _quantiles(n_tests: int, free: int) -> tuple[float, float]:
    """Return the two-sided quantiles of the normal distribution and of Student's t; of the latter 0 if `free` is."""
    from scipy.special import ndtri, stdtrit

    tail = 1 - LEVEL / n_tests / 2
    return float(ndtri(tail)), float(stdtrit(free, tail)) if free else 0.0
