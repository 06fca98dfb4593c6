"""Whether a run that was made again agrees with its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from robench.records import RunResult, Score
from robench.statistics import wilson

Agreement = Literal["bit for bit", "within the interval", "disagrees"]


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """One accuracy, then and now.

    Attributes:
        name: ``clean`` or the label of an attack.
        then: Accuracy in the record, in percent.
        now: Accuracy of the repetition.
        changed: Images right in one of the two only.
        n: Images.
        agreement: ``bit for bit`` if every image is as it was; ``within the interval`` if the accuracy lies in the 95 %
            Wilson interval of the recorded one.
    """

    name: str
    then: float
    now: float
    changed: int
    n: int
    agreement: Agreement


def repeats(then: RunResult, now: RunResult) -> list[Repeat]:
    """Return every accuracy of a record beside that of its repetition."""
    pairs: list[tuple[str, Score | None, Score | None]] = [("clean", then.clean, now.clean)]
    pairs += [(old.label, old, new) for old, new in zip(then.attacks, now.attacks, strict=True)]
    return [_repeat(name, old, new) for name, old, new in pairs if old is not None and new is not None]


def agreement(found: Sequence[Repeat]) -> Agreement:
    """Return the weakest agreement of all."""
    order: tuple[Agreement, ...] = ("disagrees", "within the interval", "bit for bit")
    return min((each.agreement for each in found), key=order.index)


def _repeat(name: str, then: Score, now: Score) -> Repeat:
    changed = int((then.mask() != now.mask()).sum())
    rate, percent = wilson(then), 100 * now.accuracy
    kind: Agreement = "disagrees"
    if changed == 0:
        kind = "bit for bit"
    elif rate.low <= percent <= rate.high:
        kind = "within the interval"
    return Repeat(name=name, then=rate.percent, now=percent, changed=changed, n=then.n, agreement=kind)
