"""The comparison of two models on the same images, and the correction for many comparisons."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robench.statistics.intervals import CONFIDENCE, Mask

EXACT_BELOW = 25
"""McNemar's test is exact if two models disagree on fewer images than this."""
RESAMPLES = 2000
"""Of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same n images.

    Attributes:
        both: Images that both classify correctly.
        only_first: Images that only the first classifies correctly.
        only_second: Images that only the second classifies correctly.
        neither: Images that neither classifies correctly.
        difference: Accuracy of the second minus that of the first, in points.
        low: Lower end of its 95 % bootstrap interval, in points.
        high: Upper end of that interval, in points.
        p: McNemar's two-sided p-value of equal accuracy.
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
        """The number of images."""
        return self.both + self.only_first + self.only_second + self.neither


def paired(first: Mask, second: Mask) -> Paired:
    """Compare two models image by image. The masks, ``bool (n,)`` each, say which images each has right.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions", 1947; exact if they
    disagree on fewer than 25 images, else with continuity correction. Efron, "Bootstrap methods", 1979: percentiles
    over images drawn with replacement, seeded.
    """
    from scipy.stats import bootstrap
    from statsmodels.stats.contingency_tables import mcnemar

    both = int((first & second).sum())
    only_first, only_second = int(first.sum()) - both, int(second.sum()) - both
    neither = len(first) - both - only_first - only_second
    disagree = only_first + only_second
    change = 100 * (second.astype(np.float64) - first)
    low = high = float(change.mean())
    if disagree:
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
    table = [[both, only_first], [only_second, neither]]
    p = float(mcnemar(table, exact=disagree < EXACT_BELOW, correction=True).pvalue)
    return Paired(
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        difference=float(change.mean()),
        low=low,
        high=high,
        p=min(1.0, p),
    )


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number, in the order given (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    if not len(p_values):
        return np.empty(0)
    gc.freeze()  # statsmodels collects garbage at every call, which takes longer the more records are in memory
    try:
        return np.asarray(multipletests(p_values, method="holm")[1])
    finally:
        gc.unfreeze()
