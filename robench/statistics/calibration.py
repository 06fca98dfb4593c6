"""Whether a network is as sure as it is right: calibration, proper scores and selective accuracy.

- ``ece``: expected calibration error, the mean distance of confidence and accuracy over 15 bins of equal width, in
  percent. It is biased upwards, as chance alone moves every bin. Source: Guo et al., "On calibration of modern
  neural networks", ICML 2017 (arXiv:1706.04599), section 2.
- ``rms``: root mean square calibration error over 15 bins of as many images each, without that bias, in percent.
  Source: Kumar, Liang and Ma, "Verified uncertainty calibration", NeurIPS 2019 (arXiv:1909.10155), definition 5.1.
- ``brier``: mean Brier score over all classes, from 0 to 2. Source: Brier 1950.
- ``nll``: mean negative log-likelihood, in nats.
- ``selective``: accuracy among the surest images, mean over all shares of images kept, in percent: 100 minus the area
  under the risk-coverage curve. Source: Geifman and El-Yaniv, NeurIPS 2017 (arXiv:1705.08500).
- ``auroc``: how well low confidence tells attacked from clean images, in percent; 50 is chance. No defence is ranked by
  it: an attack that knows of the detector evades it (Carlini and Wagner 2017, arXiv:1705.07263).

Intervals are of 95 % over images: the spread of resampled figures around the figure of the sample that they were drawn
from (the basic bootstrap; Davison and Hinkley 1997, section 5.2). That of ``ece`` reaches up to the figure itself, and
down to 0 where that of ``rms`` does, because resampling fails where calibration is nearly perfect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.records.confidences import AnsweredScore, Confidences
from robench.records.measurement import Measured
from robench.statistics.intervals import CONFIDENCE

BINS = 15
RESAMPLES, SEED = 1000, 0
FEWEST_IN_A_BIN = 2
"""Images without which a bin says nothing of its variance."""

Values = NDArray[np.float64]
Counts = NDArray[Any]
"""How often each resample has each image, ``(R, n)``."""
Of = Callable[[Counts], Values]
"""From counts to the figure of each resample, ``(R,)``."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How sure a network was on n images, clean or attacked; the module says what each figure is.

    Attributes:
        accuracy: Of the same n images, in percent, and so is the mean `confidence`.
        auroc: None for clean images.
    """

    n: int
    accuracy: float
    confidence: float
    ece: Figure
    rms: Figure
    brier: Figure
    nll: Figure
    selective: Figure
    auroc: Figure | None = None


def calibrations(runs: Sequence[Measured]) -> dict[str, Calibration] | None:
    """Return the figures of clean images, and of each attack by its label; None if a record keeps no confidences.

    Args:
        runs: What several runs of one method measured on the same images; their figures are averaged.
    """
    clean = tuple(_Kept.of(run.clean) for run in runs)
    found = {"clean": _of_kept(clean, None)}
    for place, score in enumerate(runs[0].attacks):
        found[score.label] = _of_kept(tuple(_Kept.of(run.attacks[place]) for run in runs), clean)
    known = {label: each for label, each in found.items() if each is not None}
    return known if len(known) == len(found) else None


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What a record keeps of a score, by which its figures are remembered."""

    confidences: str | None
    bits: str
    n: int
    correct: int

    @classmethod
    def of(cls, score: AnsweredScore) -> _Kept:
        return cls(confidences=score.confidences, bits=score.bits, n=score.n, correct=score.correct)

    def sureness(self) -> Confidences | None:
        return AnsweredScore(**vars(self)).sureness()


@lru_cache(maxsize=1024)  # a page asks for the same figures each time that it is made
def _of_kept(scores: tuple[_Kept, ...], clean: tuple[_Kept, ...] | None) -> Calibration | None:
    runs = [each for score in scores if (each := score.sureness()) is not None]
    others = None if clean is None else [each for score in clean if (each := score.sureness()) is not None]
    if len(runs) < len(scores) or (others is not None and len(others) < len(runs)):
        return None
    return calibration(runs, others)


def calibration(runs: Sequence[Confidences], clean: Sequence[Confidences] | None = None) -> Calibration:
    """Return the figures of one run, or their means over several runs on the same images.

    Args:
        runs: What each run answered for the same images.
        clean: What each of them answered for these images without the attack, and perhaps for more.
    """
    n = len(runs[0])
    kinds = (_ece, _rms, _mean("brier"), _mean("nll"), _selective)
    ece, rms, brier, nll, selective = (_figure([kind(run) for run in runs], n) for kind in kinds)
    auroc = None
    if clean is not None:
        pairs = zip(runs, clean, strict=True)
        auroc = _percent(_figure([_auroc(run, other.first(n)) for run, other in pairs], n))
    return Calibration(
        n=n,
        accuracy=100 * float(np.mean([run.right.mean() for run in runs])),
        confidence=100 * float(np.mean([run.confidence.mean() for run in runs])),
        ece=_percent(Figure(value=ece.value, low=ece.low if rms.low > 0 else 0, high=max(ece.high, ece.value))),
        rms=_percent(_root(rms)),
        brier=brier,
        nll=nll,
        selective=_percent(selective),
        auroc=auroc,
    )


def _figure(of: Sequence[tuple[Of, Values | None]], n: int) -> Figure:
    """Return the mean of a figure over runs, with its interval over images.

    Args:
        of: Of each run, the function from counts to figures, and the figure that resamples scatter around if that is
            another than the figure itself.
    """
    once = np.ones((1, n))
    values = [each(once)[0] for each, _ in of]
    centres = [
        float(value) if centre is None else float(centre[0]) for value, (_, centre) in zip(values, of, strict=True)
    ]
    drawn = np.mean([np.concatenate([each(part) for part in _resamples(n)]) for each, _ in of], axis=0)
    errors = np.quantile(drawn - np.mean(centres), [0.5 + 0.5 * CONFIDENCE, 0.5 - 0.5 * CONFIDENCE])
    value = float(np.mean(values))
    low, high = (value - errors).tolist()
    return Figure(value=value, low=low, high=high)


@lru_cache(maxsize=4)
def _resamples(n: int) -> tuple[Counts, ...]:
    """Return ``RESAMPLES`` resamples of n images, the same each time, in parts that fit in memory."""
    random = np.random.RandomState(SEED)
    each = max(1, min(RESAMPLES, 2_000_000 // n))
    sizes = [min(each, RESAMPLES - start) for start in range(0, RESAMPLES, each)]
    parts = []
    for size in sizes:
        drawn = random.randint(0, n, (size, n)) + n * np.arange(size)[:, None]
        parts.append(np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32))
    return tuple(parts)


def _sums(counts: Counts, values: Values) -> Values:
    """Return the sums of `values` over each resample: in float32 for the many resamples, which is twice as fast."""
    found: Values = (counts @ values.astype(counts.dtype)).astype(np.float64)
    return found


def _mean(name: str) -> Callable[[Confidences], tuple[Of, Values | None]]:
    def made(run: Confidences) -> tuple[Of, Values | None]:
        values: Values = getattr(run, name)
        return (lambda counts: _sums(counts, values) / len(run)), None

    return made


def bins_of(confidence: Values) -> NDArray[np.int64]:
    """Return the bin of each confidence, of ``BINS`` of equal width; each holds its upper end."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _ece(run: Confidences) -> tuple[Of, Values | None]:
    bins = bins_of(run.confidence)
    gaps = (run.right - run.confidence)[:, None] * (bins[:, None] == np.arange(BINS))
    return (lambda counts: np.abs(_sums(counts, gaps)).sum(axis=1) / len(run)), None


def _rms(run: Confidences) -> tuple[Of, Values | None]:
    """Return the mean square calibration error, without its bias; resamples scatter around the biased one."""
    # Equal confidences share a bin, so that the order of images does not matter.
    place = BINS * np.searchsorted(np.sort(run.confidence), run.confidence) // len(run)
    member = (place[:, None] == np.arange(BINS)).astype(np.float64)
    gaps, right = (run.right - run.confidence)[:, None] * member, run.right[:, None] * member

    def squares(counts: Counts, *, unbiased: bool) -> Values:
        sizes = _sums(counts, member)
        some = np.maximum(sizes, 1)
        gap, share = _sums(counts, gaps) / some, _sums(counts, right) / some
        chance = share * (1 - share) / np.maximum(sizes - 1, 1) * (sizes >= FEWEST_IN_A_BIN) * unbiased
        found: Values = (sizes * (gap**2 - chance)).sum(axis=1) / len(run)
        return found

    return (lambda counts: squares(counts, unbiased=True)), squares(np.ones((1, len(run))), unbiased=False)


def _selective(run: Confidences) -> tuple[Of, Values | None]:
    """Return one minus the area under the risk-coverage curve; images of one confidence are kept in any order."""
    order = np.argsort(-run.confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(run.confidence[order])), len(run) - 1)
    wrong = ~run.right[order]
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, len(run) + 1))])

    def area(counts: Counts) -> Values:
        ordered = counts[:, order]
        kept, errors = (np.cumsum(each, axis=1, dtype=np.int64)[:, ends] for each in (ordered, ordered * wrong))
        before, made = (np.pad(each, ((0, 0), (1, 0)))[:, :-1] for each in (kept, errors))
        risk = (errors - made) / np.maximum(kept - before, 1)
        terms = risk * (kept - before) + (made - risk * before) * (harmonic[kept] - harmonic[before])
        found: Values = 1 - terms.sum(axis=1) / len(run)
        return found

    return area, None


def _auroc(run: Confidences, clean: Confidences) -> tuple[Of, Values | None]:
    """Return how often an attacked image has a lower confidence than a clean one; equal ones count half."""
    order = np.argsort(clean.confidence, kind="stable")
    under, up_to = (np.searchsorted(clean.confidence[order], run.confidence, side=side) for side in ("left", "right"))

    def share(counts: Counts) -> Values:
        below = np.pad(np.cumsum(counts[:, order], axis=1, dtype=np.int64), ((0, 0), (1, 0)))
        higher = len(run) - (below[:, under] + below[:, up_to]) / 2
        found: Values = (counts * higher).sum(axis=1) / len(run) ** 2
        return found

    return share, None


def _percent(found: Figure) -> Figure:
    low, high = (min(max(100 * each, 0.0), 100.0) for each in (found.low, found.high))
    return Figure(value=100 * found.value, low=low, high=high)


def _root(found: Figure) -> Figure:
    value, low, high = (max(each, 0.0) ** 0.5 for each in (found.value, found.low, found.high))
    return Figure(value=value, low=low, high=high)
