"""Intervals of accuracies: of a share of images, of a mean over runs, class by class, and of attack success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import stdev
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from robench.records.record import Score

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Variances of shares in ``[0, 1]`` up to this are rounding: the mean of equal fractions may differ from them."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of n images with its 95 % interval, all in percent; or the mean of such shares over several runs.

    Attributes:
        sd: Sample standard deviation over runs, in points; None for one run.
    """

    percent: float
    low: float
    high: float
    n: int
    sd: float | None = None


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


@lru_cache(maxsize=65536)
def mean_rate(correct: tuple[int, ...], n: int) -> Rate:
    """Return the mean share over runs on the same `n` images, with its 95 % interval over images and seeds.

    The variance of the mean is that of one run over images, which averaging can only lower, plus that over runs. The
    interval is Wilson's for as many images as have this variance, with Student's quantile for its degrees of freedom.

    Args:
        correct: The number of images that each run has right.

    Source: Satterthwaite, "An approximate distribution of estimates of variance components", 1946; Franco, Little,
    Louis and Slud, "Comparative study of confidence intervals for proportions in complex sample surveys", Journal of
    Survey Statistics and Methodology 2019, for Wilson's interval at an effective size.
    """
    if len(correct) == 1:
        return rate(correct[0], n)
    from scipy.special import stdtrit

    runs = len(correct)
    share = sum(correct) / (runs * n)
    sd = stdev(each / n for each in correct)
    of_images, of_seeds = share * (1 - share) / n, sd**2 / runs
    z, size = None, float(n)
    if of_seeds:
        free = (of_images + of_seeds) ** 2 / (of_seeds**2 / (runs - 1))
        z, size = float(stdtrit(free, 0.5 + 0.5 * CONFIDENCE)), share * (1 - share) / (of_images + of_seeds)
    low, high = _wilson(share, size, z)
    return Rate(percent=100 * share, low=100 * low, high=100 * high, n=n, sd=100 * sd)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more `values` (Student 1908)."""
    from scipy.stats import ttest_1samp

    if min(values) == max(values):  # no variance to divide by
        return values[0], values[0]
    low, high = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def wilson_interval(percent: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval, in percent, of an accuracy on `n` images, for example of a mean over runs."""
    low, high = _wilson(percent / 100, n)
    return 100 * low, 100 * high


def _wilson(share: float, n: float, z: float | None = None) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` images; `z` is the quantile, by default the normal one.

    Source: Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 3. SciPy's ``binomtest``
    and statsmodels compute the same, but take half a second or more to import.
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + 0.5 * CONFIDENCE)) if z is None else z
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
