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
from robench.provenance import attack_label, tuner_label
from robench.records import AttackScore, RunResult, Score, WorstCase

SORTS = ("worst", "clean", "adversarial", "drop", "trainable", "seconds")
FILTERS = ("dataset", "split", "model", "tuner", "attack", "surrogate", "knowledge", "seed", "run")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of n images with its 95 % Wilson interval, all in percent."""

    percent: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Column:
    """One attack of a table."""

    label: str
    threat: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of a table; ``drops`` are clean minus adversarial accuracy in points, on the attacked images."""

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


def wilson(score: Score) -> Rate:
    """Return the accuracy of `score` with its 95 % interval (Wilson 1927, without continuity correction)."""
    from scipy.stats import binomtest

    interval = binomtest(score.correct, score.n).proportion_ci(0.95, method="wilson")
    return Rate(percent=100 * score.accuracy, low=100 * interval.low, high=100 * interval.high, n=score.n)


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
        if record.status == "completed" and all(_matches(record, *condition) for condition in conditions):
            latest[record.spec.run_id()] = record
    groups: dict[tuple[Any, ...], list[RunResult]] = {}
    for record in latest.values():
        groups.setdefault(comparison_key(record), []).append(record)
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


def _matches(record: RunResult, field: str, pattern: str) -> bool:
    spec = record.spec
    values: dict[str, list[str]] = {
        "dataset": [spec.dataset.label, spec.dataset.name],
        "split": [spec.split],
        "model": [spec.model.label, spec.model.name],
        "tuner": [spec.tuner.label, spec.tuner.name],
        "attack": [attack.label for attack in record.attacks],
        "surrogate": [attack.surrogate.name for attack in record.attacks if attack.surrogate],
        "knowledge": [attack.knowledge for attack in record.attacks],
        "seed": [str(spec.seed)],
        "run": [record.run_id],
    }
    return any(fnmatchcase(value, pattern) for value in values[field])


def comparison_key(record: RunResult) -> tuple[Any, ...]:
    """Return what two records must share to stand in one ranking."""
    assert record.data is not None
    attacks = tuple(
        sorted(
            (
                score.label,
                str(sorted(spec.params.items())),
                score.norm,
                score.eps,
                score.knowledge,
                score.n,
                score.surrogate.fingerprint if score.surrogate else "",
            )
            for score, spec in zip(record.attacks, record.spec.attacks, strict=True)
        )
    )
    return record.spec.dataset.name, record.spec.split, record.spec.test_size, record.data.test_fingerprint, attacks


def _table(group: list[RunResult], sort: str) -> Table:
    first = group[0]
    assert first.data is not None
    columns = tuple(
        Column(
            label=attack_label(score.label, score.n, first.spec.test_size),
            threat=f"{score.norm} {score.eps} {score.knowledge}",
            n=score.n,
        )
        for score in _by_label(first)
    )
    # Among equals, the better average over the attacks stands first, but shares the rank.
    ordered = sorted(group, key=lambda record: (_sort_key(record, sort), -sum(s.accuracy for s in record.attacks)))
    keys = [_sort_key(record, sort) for record in ordered]
    worst = _worst(first)
    return Table(
        dataset=first.spec.dataset.label,
        split=first.spec.split,
        test_fingerprint=first.data.test_fingerprint,
        n_clean=first.spec.test_size,
        columns=columns,
        worst_eps=worst.eps if worst else None,
        # Rows that the sort cannot tell apart share a rank.
        rows=tuple(_row(record, keys.index(key) + 1) for record, key in zip(ordered, keys, strict=True)),
    )


def _by_label(record: RunResult) -> list[AttackScore]:
    """Return the attacks in the order of the table: transfer before white-box, then by radius and name."""
    return sorted(record.attacks, key=lambda score: (score.knowledge, score.label))


def _worst(record: RunResult) -> WorstCase | None:
    """Return the worst case over all attacks; attacks of several norms have none in common."""
    return record.worst_case[0] if len(record.worst_case) == 1 else None


def _drop(record: RunResult, attack: Score) -> float:
    """Return clean minus adversarial accuracy in points, both on the attacked images."""
    assert record.clean is not None
    return 100 * (float(record.clean.mask()[: attack.n].mean()) - attack.accuracy)


def _sort_key(record: RunResult, sort: str) -> float:
    assert record.clean is not None and record.tuning is not None
    worst = _worst(record)
    adversarial = min((score.accuracy for score in record.attacks), default=record.clean.accuracy)
    return {
        "worst": -(worst.accuracy if worst else adversarial),
        "clean": -record.clean.accuracy,
        "adversarial": -adversarial,
        "drop": max((_drop(record, score) for score in record.attacks), default=0.0),
        "trainable": float(record.tuning.trainable_parameters),
        "seconds": record.seconds["total"],
    }[sort]


def _row(record: RunResult, rank: int) -> Row:
    assert record.clean is not None and record.tuning is not None
    scores = _by_label(record)
    worst = _worst(record)
    return Row(
        rank=rank,
        model=record.spec.model.label,
        tuner=tuner_label(record.spec),
        clean=wilson(record.clean),
        attacks=tuple(wilson(score) for score in scores),
        drops=tuple(_drop(record, score) for score in scores),
        worst=wilson(worst) if worst else None,
        trainable_parameters=record.tuning.trainable_parameters,
        seconds=record.seconds["total"],
        seed=record.spec.seed,
        started=record.provenance.started,
        run_id=record.run_id,
        warnings=record.warnings,
    )
