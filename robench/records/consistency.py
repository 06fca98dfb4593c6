"""Do the figures of a record fit each other? What does not cannot be shown, so it is refused where it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robench.records.record import RunResult


def contradictions(record: RunResult) -> Iterator[str]:
    """Yield where the figures of a completed record do not fit each other, so that no reader can show them."""
    spec = record.spec
    if record.status != "completed" or record.data is None or record.clean is None:
        return
    parts = [(spec.test_size, record.data, record.clean, record.attacks, record.worst_case)]
    for other, found in zip(spec.eval_datasets, record.elsewhere, strict=False):
        parts.append((spec.scored(other), found.data, found.clean, found.attacks, found.worst_case))
    for n, data, clean, attacks, worst_cases in parts:
        if clean.n != n:
            yield f"clean accuracy is on {clean.n} images; {n} were asked for"
        counts, classes = data.test_counts, len(data.class_names)
        if counts is not None and (sum(counts) != clean.n or len(counts) != classes):
            yield f"it counts {sum(counts)} images in {len(counts)} classes; {clean.n} are scored"
        if data.train_counts is not None and len(data.train_counts) != classes:
            yield f"it counts training images in {len(data.train_counts)} classes; it names {classes}"
        for score in attacks:
            if score.n > clean.n:
                yield f"{score.label} attacked {score.n} images, but only {clean.n} are scored clean"
            if score.queries and bool(((score.queries.numbers(score.n) >= 0) == score.mask()).any()):
                yield f"the images that fell to the queries of {score.label} are not those that are wrong"
        if [score.n for score in attacks] != [spec.attacked(attack, n) for attack in spec.attacks]:
            yield "its attacks are not those asked for"
        for worst in worst_cases:
            if worst.n > clean.n:
                yield f"its worst case is on {worst.n} images, but only {clean.n} are scored clean"
    yield from _corruptions(record)
    drawn = record.tuning.drawn_counts if record.tuning and record.data else None
    if drawn is not None and record.data is not None and len(drawn) != len(record.data.class_names):
        yield f"it draws images of {len(drawn)} classes; it names {len(record.data.class_names)}"
    asked_others = [(each.name, each.params) for each in spec.eval_datasets]
    if [(found.dataset.name, found.dataset.params) for found in record.elsewhere] != asked_others:
        yield "its other datasets are not those asked for"


def misnamed(record: RunResult) -> Iterator[str]:
    """Yield where the figures of a record are called otherwise than what was run."""
    for scores in (record.attacks, *(found.attacks for found in record.elsewhere)):
        for attack, score in zip(record.spec.attacks, scores, strict=False):
            if score.label != attack.label:
                yield f"the figures of {attack.label} are called {score.label[:80]!r}"
            if (score.knowledge == "unaware") != (attack.aware == "no"):
                yield f"{attack.label} sees {score.knowledge[:80]!r}, which is not what was asked for"
            if score.surrogate and attack.surrogate and score.surrogate.name != attack.surrogate.label:
                yield f"the surrogate {attack.surrogate.label} is called {score.surrogate.name[:80]!r}"


def _corruptions(record: RunResult) -> Iterator[str]:
    """Yield where the scores on corrupted images are not those asked for."""
    spec = record.spec
    if [found.label for found in record.corruptions] != [asked.label for asked in spec.corruptions]:
        yield "its corruptions are not those asked for"
    for asked, found in zip(spec.corruptions, record.corruptions, strict=False):
        places = [(score.name, score.severity) for score in found.scores]
        names, severities = (dict.fromkeys(each) for each in zip(*places, strict=True))
        if places != [(name, severity) for name in names for severity in severities]:
            yield f"{found.label[:80]} has no score, or several, for a corruption at a severity"
        if any(score.n != spec.scored(asked) for score in found.scores):
            yield f"{found.label[:80]} is not scored on {spec.scored(asked)} images, as was asked for"
