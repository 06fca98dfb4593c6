"""Averages over data sets, and how far they would differ with other images and other seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from robench.statistics.intervals import ROUNDING, mean_interval, wilson_interval

Answers = NDArray[np.bool_] | NDArray[np.float64]
"""Which images of a data set are right, ``bool (n,)``, or how much of each, ``float (n,)`` in ``[0, 1]``."""
Masks = Mapping[int, Answers]
"""The answers on one data set, by seed."""
Value = Callable[[Sequence[float]], float]
"""What is made of the accuracies of several data sets, in percent."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """An accuracy in percent, averaged over seeds and perhaps over data sets, with its 95 % interval.

    Attributes:
        seeds: The seeds that it is the mean of. With one, the interval says nothing of other seeds.
    """

    percent: float
    low: float
    high: float
    seeds: tuple[int, ...]


def mean_over_seeds(masks: Masks) -> Mean:
    """Return the accuracy on one data set."""
    found = average([masks])
    assert found is not None, "a data set without a seed"
    return found


def average(sets: Sequence[Masks]) -> Mean | None:
    """Return the mean over data sets, each counted once, over the seeds that all of them have; None without one.

    The interval is for other images of the same data sets and for other seeds; other data sets are not meant. Each
    data set gives the distances from its mean accuracy to the ends of Wilson's interval. These are weighted like the
    accuracies, squared, added, and the root is taken: Zou, Huang and Zhang, "A note on confidence interval estimation
    for a linear function of binomial proportions", Computational Statistics and Data Analysis 53, 2009 (MOVER). So one
    data set and one seed give Wilson's interval itself. With several seeds an image counts with its mean over them,
    whose variance is smaller than that of a right or wrong; Wilson's n is enlarged by that ratio, as for a survey with
    a design effect (Korn and Graubard, Survey Methodology 24, 1998). The seeds add half of the width of Student's
    interval of their averages, squared. As seeds share their images, the part of the variance that belongs to image and
    seed together is counted twice (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007), so the
    interval is rather too wide than too narrow.
    """
    weight = 1 / len(sets)
    return _combined(sets, [weight] * len(sets), lambda means: float(np.mean(means)))


def harmonic_mean(first: Sequence[Masks], second: Sequence[Masks]) -> Mean | None:
    """Return the harmonic mean of two averages, as of base and new classes; None without a seed that all have.

    The interval is that of :func:`average` with each data set weighted by the derivative of the harmonic mean.

    Source: Zhou et al., "Conditional prompt learning for vision-language models", CVPR 2022, table 1: the harmonic mean
    of the averages over data sets, not the average of the harmonic means.
    """
    n = len(first)

    def value(means: Sequence[float]) -> float:
        a, b = float(np.mean(means[:n])), float(np.mean(means[n:]))
        return 2 * a * b / (a + b) if a + b else 0.0

    seeds = _common([*first, *second])
    if not seeds:
        return None
    a, b = (float(np.mean([_accuracy(each, seeds) for each in group])) for group in (first, second))
    slopes = (2 * b * b / (a + b) ** 2, 2 * a * a / (a + b) ** 2) if a + b else (0.5, 0.5)
    weights = [slopes[0] / n] * n + [slopes[1] / len(second)] * len(second)
    return _combined([*first, *second], weights, value)


def _combined(sets: Sequence[Masks], weights: Sequence[float], value: Value) -> Mean | None:
    seeds = _common(sets)
    if not seeds:
        return None
    means = [_accuracy(each, seeds) for each in sets]
    middle = value(means)
    below = above = 0.0
    for masks, weight, mean in zip(sets, weights, means, strict=True):
        low, high = wilson_interval(mean, _effective_n(masks, seeds))
        below, above = below + (weight * (mean - low)) ** 2, above + (weight * (high - mean)) ** 2
    if len(seeds) > 1:
        low, high = mean_interval([value([_accuracy(each, (seed,)) for each in sets]) for seed in seeds])
        below, above = below + ((high - low) / 2) ** 2, above + ((high - low) / 2) ** 2
    low, high = max(0.0, middle - sqrt(below)), min(100.0, middle + sqrt(above))
    return Mean(percent=middle, low=low, high=high, seeds=seeds)


def _common(sets: Sequence[Masks]) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(each) for each in sets))))


def _accuracy(masks: Masks, seeds: Sequence[int]) -> float:
    return 100 * float(np.mean([masks[seed].mean() for seed in seeds]))


def _effective_n(masks: Masks, seeds: Sequence[int]) -> float:
    """Return how many images with a right or wrong each would tell as much as these, which have means over seeds."""
    scores = np.mean([masks[seed] for seed in seeds], axis=0)
    share, variance = float(scores.mean()), float(scores.var())
    return len(scores) * share * (1 - share) / variance if variance > ROUNDING else len(scores)
