"""What chance could have done: intervals of one accuracy, and tests of two on the same images."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.records import Score

CONFIDENCE = 0.95
RESAMPLES = 2000
EXACT_BELOW = 25
"""Images on which two models disagree, below which McNemar's test is exact."""

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
    low, high = _wilson(score.correct, score.n)
    return Rate(percent=100 * score.accuracy, low=low, high=high, n=score.n)


@lru_cache(maxsize=65536)  # a page of thousands of rows asks for the same few counts again and again
def _wilson(correct: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return 100 * interval.low, 100 * interval.high


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more `values` (Student 1908)."""
    from scipy.stats import ttest_1samp

    if min(values) == max(values):  # no variance to divide by
        return values[0], values[0]
    low, high = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def wilson_interval(percent: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean accuracy over runs on the same `n` images, as that of one run of it."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(percent / 100 * n, n, alpha=1 - CONFIDENCE, method="wilson")
    return 100 * float(low), 100 * float(high)


def by_class(right: Mask, labels: NDArray[np.int64], names: Sequence[str]) -> ByClass:
    """Return macro and worst-class accuracy; classes without images do not count.

    Args:
        right: Which images were classified correctly, ``bool (n,)``.
        labels: Of at least these images, ``int64 (N,)`` with N >= n.
        names: Of the classes.
    """
    labels = labels[: len(right)]
    present = np.unique(labels)
    rates = [wilson(Score.of(right[labels == label])) for label in present]
    lowest = min(range(len(rates)), key=lambda index: rates[index].percent)
    macro = float(np.mean([rate.percent for rate in rates]))
    return ByClass(macro=macro, lowest=rates[lowest], lowest_name=names[present[lowest]])


def success(clean: Score, attacked: Score) -> Rate | None:
    """Return the attack success rate: of the images right clean and attacked, those made wrong; None if none is."""
    right = clean.mask()[: attacked.n]
    if not right.any():
        return None
    return wilson(Score.of(~attacked.mask()[right]))


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


def ranks(masks: Sequence[Mask]) -> list[int]:
    """Return for each model one more than the number of models that are significantly more accurate.

    All pairs are tested on the same images, McNemar's p-values adjusted for their number by Holm's method at 5 %, so
    that ties are what the images cannot tell apart.
    """
    if len(masks) < 2:
        return [1] * len(masks)
    stacked = np.stack(masks).astype(np.float32)  # counts below 2**24 are exact
    right = stacked.sum(axis=1)
    first, second = np.tril_indices(len(masks), -1)
    both = (stacked @ stacked.T)[first, second]
    differ = holm(_mcnemar_all(right[first] - both, right[second] - both)) < 1 - CONFIDENCE
    worse = np.where(right[first] < right[second], first, second)[differ]
    return [1 + int(better) for better in np.bincount(worse, minlength=len(masks))]


def _agreement(first: Mask, second: Mask) -> tuple[int, int, int, int]:
    both = int((first & second).sum())
    only_first, only_second = int(first.sum()) - both, int(second.sum()) - both
    return both, only_first, only_second, len(first) - both - only_first - only_second


def _mcnemar(both: int, only_first: int, only_second: int, neither: int) -> float:
    from statsmodels.stats.contingency_tables import mcnemar

    few = only_first + only_second < EXACT_BELOW
    p = float(mcnemar([[both, only_first], [only_second, neither]], exact=few, correction=True).pvalue)
    return min(1.0, p)


def _mcnemar_all(only_first: NDArray[np.float32], only_second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what :func:`_mcnemar` gives for each pair of models, for many pairs at once."""
    from scipy.stats import binom, chi2

    counts = np.stack([np.minimum(only_first, only_second), only_first + only_second]).astype(np.int64)
    # Millions of pairs have but thousands of different counts.
    codes, which = np.unique(counts[0] * (counts[1].max(initial=0) + 1) + counts[1], return_inverse=True)
    fewer, total = np.divmod(codes, counts[1].max(initial=0) + 1)
    few = total < EXACT_BELOW
    p = np.empty(len(codes))
    p[few] = 2 * binom.cdf(fewer[few], total[few], 0.5)
    p[~few] = chi2.sf((np.abs(total - 2 * fewer)[~few] - 1) ** 2 / total[~few], 1)
    return np.minimum(p, 1.0)[which]
