"""What chance could have done: intervals of one accuracy, and tests of two on the same images."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robench.statistics.ranks import EXACT_BELOW

if TYPE_CHECKING:
    from robench.records.record import Score

CONFIDENCE = 0.95
RESAMPLES = 2000

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
    """Accuracy class by class.

    Attributes:
        macro: Mean over the classes, each counting the same, in percent.
        lowest: Accuracy of the worst class; as the lowest of several it is biased downwards.
        lowest_name: That class.
    """

    macro: float
    lowest: Rate
    lowest_name: str


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same n images.

    Attributes:
        both: Images that both classify correctly.
        only_first: Images that the first alone classifies correctly.
        only_second: Images that the second alone does.
        neither: The rest.
        difference: Second minus first accuracy, in points.
        low: Lower end of its 95 % bootstrap interval, in points.
        high: The upper end.
        p: McNemar's p-value, two-sided, of the two being equally accurate.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    low: float
    high: float
    p: float

    @property
    def n(self) -> int:
        """How many images."""
        return self.both + self.only_first + self.only_second + self.neither


def wilson(score: Score) -> Rate:
    """Return the accuracy of `score` with its 95 % interval (Wilson 1927, without continuity correction)."""
    return rate(score.correct, score.n)


@lru_cache(maxsize=65536)  # thousands of rows have the same few counts again and again
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
    """Return the 95 % interval of a mean accuracy over runs on the same `n` images, as that of one run of it."""
    low, high = _wilson(percent / 100, n)
    return 100 * low, 100 * high


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` images.

    Source: Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 3; as SciPy's
        ``binomtest`` and as statsmodels, without the half second or more that each takes to import.
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
    """Return macro and worst-class accuracy; classes without images do not count.

    Args:
        right: Which images were classified correctly, ``bool (n,)``.
        labels: Of at least these images, ``int64 (N,)`` with N >= n.
        names: Of the classes.
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
    """Return the attack success rate: of the images right clean and attacked, those made wrong; None if none is."""
    right = clean.mask()[: attacked.n]
    if not right.any():
        return None
    return _share(~attacked.mask()[right])


def _share(found: Mask) -> Rate:
    return rate(int(found.sum()), len(found))


def paired(first: Mask, second: Mask) -> Paired:
    """Compare two models image by image, ``bool (n,)`` each, of the same images in the same order.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions", 1947; exact where
    they disagree on fewer than 25 images, else with continuity correction. Efron, "Bootstrap methods", 1979:
    percentiles over images drawn with replacement, seeded.
    """
    from scipy.stats import bootstrap

    both, only_first, only_second, neither = counts = _agreement(first, second)
    change = 100 * (second.astype(np.float64) - first)
    low = high = float(change.mean())
    if only_first + only_second:
        drawn = bootstrap(
            (change,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=50,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        low, high = map(float, drawn.confidence_interval)
    return Paired(
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        difference=float(change.mean()),
        low=low,
        high=high,
        p=_mcnemar(*counts),
    )


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number, in the order given (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    if not len(p_values):
        return np.empty(0)
    gc.freeze()  # it collects garbage at every call, which takes the longer the more records there are
    try:
        return np.asarray(multipletests(p_values, method="holm")[1])
    finally:
        gc.unfreeze()


def _agreement(first: Mask, second: Mask) -> tuple[int, int, int, int]:
    both = int((first & second).sum())
    only_first, only_second = int(first.sum()) - both, int(second.sum()) - both
    return both, only_first, only_second, len(first) - both - only_first - only_second


def _mcnemar(both: int, only_first: int, only_second: int, neither: int) -> float:
    from statsmodels.stats.contingency_tables import mcnemar

    few = only_first + only_second < EXACT_BELOW
    p = float(mcnemar([[both, only_first], [only_second, neither]], exact=few, correction=True).pvalue)
    return min(1.0, p)
