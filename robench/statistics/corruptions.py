"""Accuracy on corrupted images: of each corruption, the mean over all, and by severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robench.statistics.intervals import ROUNDING, Rate, wilson_interval

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
    right = _right(records)
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


def relative_error(found: Sequence[CorruptionRecord], reference: CorruptionRecord) -> Rate | None:
    """Return the mean corruption error (mCE) of runs on the same images, in percent of that of a reference.

    The errors under a corruption, over all severities, are divided by those of the reference, and these ratios are
    averaged. None if the reference was scored on other images, or has no error under some corruption. The 95 % interval
    is over images, which both share: that of the normal distribution, to first order (the delta method).

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019 (arXiv:1903.12261), section 4, where the reference is AlexNet.
    """
    if [score.images for score in found[0].scores] != [score.images for score in reference.scores]:
        return None
    wrong, usual = (1 - _right(records).mean(axis=1) for records in (found, [reference]))  # each (names, n)
    below, n = usual.mean(axis=1), wrong.shape[1]
    if not below.all():
        return None
    ratios = wrong.mean(axis=1) / below
    mean = float(ratios.mean())
    moved = ((wrong - ratios[:, None] * usual) / below[:, None]).mean(axis=0)
    reach = 1.96 * float(moved.std(ddof=1)) / n**0.5 if n > 1 else 0.0
    return Rate(percent=100 * mean, low=100 * max(mean - reach, 0), high=100 * (mean + reach), n=n)


def _right(records: Sequence[CorruptionRecord]) -> NDArray[np.float64]:
    """Return the share of runs that have each image right, ``(names, severities, n)``."""
    names = {score.name for score in records[0].scores}
    right: NDArray[np.float64] = np.mean([[score.mask() for score in each.scores] for each in records], axis=0)
    return right.reshape(len(names), -1, right.shape[-1])


def of_images(share: NDArray[np.float64]) -> Rate:
    """Return the mean of a share of each image, ``float (n,)`` in ``[0, 1]``, with its 95 % interval over images.

    All corruptions of one image go together, as they are right or wrong together. The interval is Wilson's for as many
    images as have the variance of the mean; without any variance, for as many as there are.
    """
    n, mean = len(share), float(share.mean())
    spread = float(share.var(ddof=1)) if n > 1 else 0.0
    low, high = wilson_interval(100 * mean, n * mean * (1 - mean) / spread if spread > ROUNDING else n)
    return Rate(percent=100 * mean, low=low, high=high, n=n)
