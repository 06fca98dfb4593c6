"""Compare a record with a repetition of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from robench.present.grid import Grid, headings
from robench.records.measurement import measurements
from robench.records.record import RunResult, Score
from robench.statistics.intervals import wilson

Agreement = Literal["bit for bit", "within the interval", "disagrees"]


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """One accuracy, then and now.

    Attributes:
        name: ``clean`` or the label of an attack, after the dataset's name if that is not the run's own.
        then: Accuracy in the record, in percent.
        now: Accuracy of the repetition, in percent.
        changed: Number of images that are right in only one of the two.
        n: Number of images.
        agreement: ``bit for bit`` if no image changed; ``within the interval`` if the new accuracy lies in the 95 %
            Wilson interval of the recorded one; else ``disagrees``.
    """

    name: str
    then: float
    now: float
    changed: int
    n: int
    agreement: Agreement


def repeats(then: RunResult, now: RunResult) -> list[Repeat]:
    """Return every accuracy of a completed record with that of its repetition."""
    pairs = zip(_scores(then), _scores(now), strict=True)
    return [_repeat(name, old, new) for (name, old), (_, new) in pairs]


def agreement(found: Sequence[Repeat]) -> Agreement:
    """Return the weakest agreement."""
    order: tuple[Agreement, ...] = ("disagrees", "within the interval", "bit for bit")
    return min((each.agreement for each in found), key=order.index)


def repeats_grid(found: Sequence[Repeat], title: str, names: tuple[str, str] = ("then", "now")) -> Grid:
    """Return the repeats as a table; `names` are the headings of the two runs."""
    rows = tuple(
        (each.name, f"{each.then:.2f}", f"{each.now:.2f}", f"{each.changed} of {each.n}", each.agreement)
        for each in found
    )
    return Grid(title=title, headings=headings("", *names, "images that changed", "agreement"), rows=rows)


def _scores(run: RunResult) -> Iterator[tuple[str, Score]]:
    for found in measurements(run):
        where = "" if found.dataset == run.spec.dataset else f"{found.dataset.label}, "
        yield f"{where}clean", found.clean
        yield from ((f"{where}{score.label}", score) for score in found.attacks)
    for each in run.corruptions:
        yield f"corruption {each.label}", Score.of(np.concatenate([score.mask() for score in each.scores]))


def _repeat(name: str, then: Score, now: Score) -> Repeat:
    changed = int((then.mask() != now.mask()).sum())
    rate, percent = wilson(then), 100 * now.accuracy
    kind: Agreement = "within the interval" if rate.low <= percent <= rate.high else "disagrees"
    if changed == 0:
        kind = "bit for bit"
    return Repeat(name=name, then=rate.percent, now=percent, changed=changed, n=then.n, agreement=kind)
