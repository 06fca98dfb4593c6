"""From records to ranked tables: a pure function that puts only comparable rows side by side.

Rows share a table if they share the test images, every attack with its threat model, parameters, surrogate
weights and n. Other rows stand in other tables, never in one ranking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from robench.errors import SpecError, nearest
from robench.measured import Measured, measurements
from robench.provenance import attack_label
from robench.records import AttackScore, RunResult, Score
from robench.statistics import ByClass, Mask, Rate, by_class, ranks, wilson

SORTS = ("worst", "clean", "adversarial", "drop", "trainable", "seconds")
FILTERS = ("dataset", "split", "model", "tuner", "attack", "surrogate", "knowledge", "seed", "run")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One attack of a table."""

    label: str
    threat: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of a table; ``drops`` are clean minus adversarial accuracy in points, on the attacked images.

    ``checks`` is the verdict of its certificate: pass, warn, fail, or none where nothing was checked. ``plugins`` are
    the distributions, other than robench, that components came from. ``classes`` are the accuracies class by class,
    clean and then under each attack; None where the record keeps no labels.
    """

    rank: int
    model: str
    tuner: str
    clean: Rate
    attacks: tuple[Rate, ...]
    drops: tuple[float, ...]
    worst: Rate | None
    trainable_parameters: int
    seconds: float
    seed: int
    started: str
    run_id: str
    warnings: tuple[str, ...]
    checks: str
    plugins: tuple[str, ...]
    classes: tuple[ByClass, ...] | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be compared with each other, best first."""

    dataset: str
    split: str
    test_fingerprint: str
    n_clean: int
    columns: tuple[Column, ...]
    worst_eps: str | None
    rows: tuple[Row, ...]


def leaderboard(records: Iterable[RunResult], *, sort: str = "worst", filters: Sequence[str] = ()) -> list[Table]:
    """Rank completed runs in tables of comparable rows; of repeats of one run the latest counts.

    Args:
        records: Any records; those that did not complete are left out.
        sort: One of ``SORTS``; accuracies descend, ``drop``, ``trainable`` and ``seconds`` ascend.
        filters: ``field=pattern``, with ``*`` for anything; rows must match all of them.

    Raises:
        SpecError: An unknown sort or filter.
    """
    if sort not in SORTS:
        raise SpecError(f"cannot sort by {sort!r}{nearest(sort, SORTS)}")
    conditions = [parse_filter(text) for text in filters]
    latest: dict[str, RunResult] = {}
    for record in sorted(records, key=lambda record: record.provenance.started):
        if record.status == "completed":
            latest[record.spec.run_id()] = record
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for record in latest.values():
        for found in measurements(record):
            if all(_matches(found, *condition) for condition in conditions):
                groups.setdefault(comparison_key(found), []).append(found)
    tables = [_table(group, sort) for group in groups.values()]
    return sorted(
        tables, key=lambda t: (t.dataset, t.split, -t.n_clean, [c.label for c in t.columns], t.test_fingerprint)
    )


def parse_filter(text: str) -> tuple[str, str]:
    """Split ``field=pattern``.

    Raises:
        SpecError: No ``=``, or an unknown field.
    """
    field, equals, pattern = text.partition("=")
    if not equals:
        raise SpecError(f"filter {text!r} is not FIELD=PATTERN, such as tuner=tecoa*")
    if field not in FILTERS:
        raise SpecError(f"cannot filter by {field!r}{nearest(field, FILTERS)}")
    return field, pattern


def _matches(found: Measured, field: str, pattern: str) -> bool:
    spec = found.record.spec
    values: dict[str, list[str]] = {
        "dataset": [found.dataset.label, found.dataset.name],
        "split": [spec.split],
        "model": [spec.model.label, spec.model.name],
        "tuner": [spec.tuner.label, spec.tuner.name],
        "attack": [attack.label for attack in found.attacks],
        "surrogate": [attack.surrogate.name for attack in found.attacks if attack.surrogate],
        "knowledge": [attack.knowledge for attack in found.attacks],
        "seed": [str(spec.seed)],
        "run": [found.record.run_id],
    }
    return any(fnmatchcase(value, pattern) for value in values[field])


def comparison_key(found: Measured) -> tuple[Any, ...]:
    """Return what two measurements must share to stand in one ranking."""
    spec = found.record.spec
    attacks = tuple(
        sorted(
            (
                score.label,
                str(sorted(attack.params.items())),
                score.norm,
                score.eps,
                score.knowledge,
                score.n,
                score.surrogate.fingerprint if score.surrogate else "",
            )
            for score, attack in zip(found.attacks, spec.attacks, strict=True)
        )
    )
    return found.dataset.name, spec.split, spec.test_size, found.data.test_fingerprint, attacks


def _table(group: list[Measured], sort: str) -> Table:
    first = group[0]
    test_size = first.record.spec.test_size
    columns = tuple(
        Column(
            label=attack_label(score.label, score.n, test_size),
            threat=f"{score.norm} {score.eps} {score.knowledge}",
            n=score.n,
        )
        for score in _by_label(first)
    )
    # Among equals, the better average over the attacks stands first, but shares the rank.
    ordered = sorted(group, key=lambda found: (_sort_key(found, sort), -sum(s.accuracy for s in found.attacks)))
    return Table(
        dataset=first.dataset.label,
        split=first.record.spec.split,
        test_fingerprint=first.data.test_fingerprint,
        n_clean=test_size,
        columns=columns,
        worst_eps=first.worst.eps if first.worst else None,
        rows=tuple(_row(found, rank) for found, rank in zip(ordered, _ranks(ordered, sort), strict=True)),
    )


def _ranks(ordered: list[Measured], sort: str) -> list[int]:
    """Return the rank of each row: those that the images cannot tell apart share one."""
    if sort in ("worst", "clean", "adversarial"):
        return ranks([_sorted_by(found, sort) for found in ordered])
    keys = [_sort_key(found, sort) for found in ordered]
    return [keys.index(key) + 1 for key in keys]


def _sorted_by(found: Measured, sort: str) -> Mask:
    """Return which images count as correct for `sort`."""
    if sort == "clean" or not found.attacks:
        return found.clean.mask()
    if sort == "worst" and found.worst:
        return found.worst.mask()
    return min(found.attacks, key=lambda score: score.accuracy).mask()


def _by_label(found: Measured) -> list[AttackScore]:
    """Return the attacks in the order of the table: transfer before white-box, then by radius and name."""
    return sorted(found.attacks, key=lambda score: (score.knowledge, score.label))


def drop(clean: Score, attack: Score) -> float:
    """Return clean minus adversarial accuracy in points, both on the attacked images."""
    return 100 * (float(clean.mask()[: attack.n].mean()) - attack.accuracy)


def _sort_key(found: Measured, sort: str) -> float:
    tuning = found.record.tuning
    assert tuning is not None
    adversarial = min((score.accuracy for score in found.attacks), default=found.clean.accuracy)
    return {
        "worst": -(found.worst.accuracy if found.worst else adversarial),
        "clean": -found.clean.accuracy,
        "adversarial": -adversarial,
        "drop": max((drop(found.clean, score) for score in found.attacks), default=0.0),
        "trainable": float(tuning.trainable_parameters),
        "seconds": found.record.seconds["total"],
    }[sort]


def _row(found: Measured, rank: int) -> Row:
    record = found.record
    assert record.tuning is not None
    scores = _by_label(found)
    return Row(
        rank=rank,
        model=record.spec.model.label,
        tuner=found.tuner,
        clean=wilson(found.clean),
        attacks=tuple(wilson(score) for score in scores),
        drops=tuple(drop(found.clean, score) for score in scores),
        worst=wilson(found.worst) if found.worst else None,
        trainable_parameters=record.tuning.trainable_parameters,
        seconds=record.seconds["total"],
        seed=record.spec.seed,
        started=record.provenance.started,
        run_id=record.run_id,
        warnings=record.warnings,
        checks=record.verdict or "none",
        plugins=tuple(sorted({p for p in record.provenance.plugins.values() if not p.startswith("robench ")})),
        classes=_by_class(found, scores),
    )


def _by_class(found: Measured, scores: list[AttackScore]) -> tuple[ByClass, ...] | None:
    labels = found.data.scored_labels()
    if labels is None:
        return None
    return tuple(by_class(score.mask(), labels, found.data.class_names) for score in (found.clean, *scores))
