"""Accuracy on corrupted images: of each corruption, the mean over all, and by severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robench.statistics.intervals import Rate, wilson_interval

if TYPE_CHECKING:
    from robench.records.corrupted import CorruptionRecord


@dataclass(frozen=True, kw_only=True)
class CorruptionSummary:
    """The scores of one corruption component.

    Attributes:
        label: The component as typed.
        severities: The severities, the mildest first.
        mean: Mean accuracy over all corruptions and severities.
        by_severity: Mean accuracy over the corruptions, at each severity.
        by_name: Mean accuracy over the severities, of each corruption.
        curves: Accuracy of each corruption at each severity, in percent.
        images: What was scored: all hashes of corrupted images, in order.
    """

    label: str
    severities: tuple[int, ...]
    mean: Rate
    by_severity: tuple[Rate, ...]
    by_name: dict[str, Rate]
    curves: dict[str, tuple[float, ...]]
    images: tuple[str, ...]


def summarise(found: CorruptionRecord | Sequence[CorruptionRecord]) -> CorruptionSummary:
    """Return the means of one record, or of the records of several runs on the same corrupted images."""
    records = list(found) if isinstance(found, Sequence) else [found]
    first = records[0]
    names = tuple(dict.fromkeys(score.name for score in first.scores))
    severities = tuple(dict.fromkeys(score.severity for score in first.scores))
    right = np.mean([[score.mask() for score in each.scores] for each in records], axis=0)
    right = right.reshape(len(names), len(severities), -1)
    curves = 100 * right.mean(axis=2)
    return CorruptionSummary(
        label=first.label,
        severities=severities,
        mean=of_images(right.mean(axis=(0, 1))),
        by_severity=tuple(of_images(right[:, place].mean(axis=0)) for place in range(len(severities))),
        by_name={name: of_images(right[place].mean(axis=0)) for place, name in enumerate(names)},
        curves={name: tuple(curves[place].tolist()) for place, name in enumerate(names)},
        images=tuple(score.images for score in first.scores),
    )


def of_images(share: NDArray[np.float64]) -> Rate:
    """Return the mean of a share of each image, ``float (n,)`` in ``[0, 1]``, with its 95 % interval over images.

    All corruptions of one image go together, as they are right or wrong together. The interval is Wilson's for as many
    images as have the variance of the mean; without any variance, for as many as there are.
    """
    n, mean = len(share), float(share.mean())
    variance = float(share.var(ddof=1)) / n if n > 1 else 0.0
    low, high = wilson_interval(100 * mean, mean * (1 - mean) / variance if variance else n)
    return Rate(percent=100 * mean, low=low, high=high, n=n)
