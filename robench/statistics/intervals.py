"""Intervals of accuracies: of a share of images, of a mean over runs, class by class, and of attack success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from robench.records.record import Score

CONFIDENCE = 0.95

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of n images with its 95 % Wilson interval, all in percent."""

    percent: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class ByClass:
    """Accuracies over classes.

    Attributes:
        macro: Mean of the classes' accuracies, in percent.
        lowest: Accuracy of the worst class, which is biased downwards, as the lowest of several.
        lowest_name: The name of that class.
    """

    macro: float
    lowest: Rate
    lowest_name: str


def wilson(score: Score) -> Rate:
    """Return the accuracy of `score` with its 95 % interval (Wilson 1927, without continuity correction)."""
    return rate(score.correct, score.n)


@lru_cache(maxsize=65536)  # thousands of rows have the same few counts
def rate(correct: int, n: int) -> Rate:
    """Return the share `correct` of `n` images with its 95 % interval."""
    low, high = _wilson(correct / n, n)
    return Rate(percent=100 * (correct / n), low=100 * low, high=100 * high, n=n)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more `values` (Student 1908)."""
    from scipy.stats import ttest_1samp

    if min(values) == max(values):  # no variance to divide by
        return values[0], values[0]
    low, high = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def wilson_interval(percent: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval, in percent, of an accuracy on `n` images, for example of a mean over runs."""
    low, high = _wilson(percent / 100, n)
    return 100 * low, 100 * high


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` images.

    Source: Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 3. SciPy's ``binomtest``
    and statsmodels compute the same, but take half a second or more to import.
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + 0.5 * CONFIDENCE))
    denominator = 2 * (n + z**2)
    center = (2 * n * share + z**2) / denominator
    half = z / denominator * sqrt(4 * n * share * (1 - share) + z**2)
    low = 0.0 if share == 0 else center - half
    high = 1.0 if share == 1 else center + half
    return low, high


def by_class(right: Mask, labels: NDArray[np.int64], names: Sequence[str]) -> ByClass:
    """Return the macro and the worst-class accuracy; classes without images do not count.

    Args:
        right: Which images are classified correctly, ``bool (n,)``.
        labels: The labels of these images, and perhaps of more, ``int64 (N,)`` with N >= n.
        names: The names of the classes.
    """
    labels = labels[: len(right)]
    counts, known = np.bincount(labels), np.bincount(labels[right], minlength=int(labels.max()) + 1)
    present = np.flatnonzero(counts)
    percent = 100 * (known[present] / counts[present])
    lowest = present[np.argmin(percent)]
    return ByClass(
        macro=float(np.mean(percent)),
        lowest=rate(int(known[lowest]), int(counts[lowest])),
        lowest_name=names[lowest],
    )


def success(clean: Score, attacked: Score) -> Rate | None:
    """Return the attack success rate: of the attacked images right clean, those made wrong; None if none was right."""
    right = clean.mask()[: attacked.n]
    if not right.any():
        return None
    wrong = ~attacked.mask()[right]
    return rate(int(wrong.sum()), len(wrong))
