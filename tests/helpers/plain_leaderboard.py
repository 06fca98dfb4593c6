"""The leaderboard said plainly, record by record and pair by pair: what the one on columns must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import numpy as np
from robench.leaderboard.tables import Column, Row, Table
from robench.records.labels import attack_label
from robench.records.measurement import Measured, comparison_key, drop, measurements
from robench.records.record import AttackScore, RunResult, Score
from robench.statistics.intervals import ByClass, Rate
from robench.statistics.paired import holm
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar


def plain_leaderboard(records: Sequence[RunResult], sort: str, filters: Sequence[tuple[str, str]] = ()) -> list[Table]:
    latest: dict[str, RunResult] = {}
    for record in sorted(records, key=lambda record: record.provenance.started):
        if record.status == "completed":
            latest[record.spec.run_id()] = record
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for record in latest.values():
        for found in measurements(record):
            if all(matches(found, *condition) for condition in filters):
                groups.setdefault(comparison_key(found), []).append(found)
    tables = [table(group, sort) for group in groups.values()]
    return sorted(
        tables, key=lambda t: (t.dataset, t.split, -t.n_clean, [c.label for c in t.columns], t.test_fingerprint)
    )


def matches(found: Measured, field: str, pattern: str) -> bool:
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


def table(group: list[Measured], sort: str) -> Table:
    first = group[0]
    test_size = first.record.spec.test_size
    ordered = sorted(group, key=lambda found: (sort_key(found, sort), -sum(s.accuracy for s in found.attacks)))
    return Table(
        dataset=first.dataset.label,
        split=first.record.spec.split,
        test_fingerprint=first.data.test_fingerprint,
        n_clean=test_size,
        columns=tuple(
            Column(
                label=attack_label(score.label, score.n, test_size),
                threat=f"{score.norm} {score.eps} {score.knowledge}",
                n=score.n,
            )
            for score in by_label(first)
        ),
        worst_eps=first.worst.eps if first.worst else None,
        precision=first.precision,
        rows=tuple(row(found, rank) for found, rank in zip(ordered, ranks_of(ordered, sort), strict=True)),
    )


def by_label(found: Measured) -> list[AttackScore]:
    return sorted(found.attacks, key=lambda score: (score.knowledge, score.label))


def sort_key(found: Measured, sort: str) -> float:
    assert found.record.tuning is not None
    adversarial = min((score.accuracy for score in found.attacks), default=found.clean.accuracy)
    return {
        "worst": -(found.worst.accuracy if found.worst else adversarial),
        "clean": -found.clean.accuracy,
        "adversarial": -adversarial,
        "drop": max((drop(found.clean, score) for score in found.attacks), default=0.0),
        "trainable": float(found.record.tuning.trainable_parameters),
        "seconds": found.record.seconds["total"],
    }[sort]


def ranks_of(ordered: list[Measured], sort: str) -> list[int]:
    if sort in ("worst", "clean", "adversarial"):
        masks = [right(found, sort) for found in ordered]
        n = min(map(len, masks))
        return plain_ranks([mask[:n] for mask in masks])
    keys = [sort_key(found, sort) for found in ordered]
    return [keys.index(key) + 1 for key in keys]


def right(found: Measured, sort: str) -> np.ndarray:
    if sort == "clean" or not found.attacks:
        return found.clean.mask()
    if sort == "worst" and found.worst:
        return found.worst.mask()
    return min(found.attacks, key=lambda score: score.accuracy).mask()


def plain_ranks(masks: Sequence[np.ndarray]) -> list[int]:
    """One more than the number of significantly better models: each pair tested by statsmodels, and adjusted by it."""
    found, pairs = [1] * len(masks), list(combinations(range(len(masks)), 2))
    alone = [(int((masks[i] & ~masks[j]).sum()), int((masks[j] & ~masks[i]).sum())) for i, j in pairs]
    p_values = [min(1.0, mcnemar([[0, a], [b, 0]], exact=a + b < 25).pvalue) if a + b else 1.0 for a, b in alone]
    for (i, j), (a, b), p in zip(pairs, alone, holm(p_values), strict=True):
        if p < 1 - 0.95:
            found[j if a > b else i] += 1
    return found


def row(found: Measured, rank: int) -> Row:
    record = found.record
    assert record.tuning is not None
    scores = by_label(found)
    return Row(
        rank=rank,
        model=record.spec.model.label,
        tuner=found.tuner,
        clean=plain_rate(found.clean),
        attacks=tuple(plain_rate(score) for score in scores),
        drops=tuple(drop(found.clean, score) for score in scores),
        worst=plain_rate(found.worst) if found.worst else None,
        trainable_parameters=record.tuning.trainable_parameters,
        seconds=record.seconds["total"],
        seed=record.spec.seed,
        started=record.provenance.started,
        run_id=record.run_id,
        warnings=record.warnings,
        checks=record.verdict or "none",
        plugins=tuple(sorted({p for p in record.provenance.plugins.values() if not p.startswith("robench ")})),
        classes=classes(found, scores),
    )


def plain_rate(score: Score) -> Rate:
    interval = binomtest(score.correct, score.n).proportion_ci(0.95, method="wilson")
    return Rate(percent=100 * score.accuracy, low=100 * interval.low, high=100 * interval.high, n=score.n)


def classes(found: Measured, scores: list[AttackScore]) -> tuple[ByClass, ...] | None:
    labels = found.data.scored_labels()
    if labels is None:
        return None
    return tuple(plain_by_class(score.mask(), labels, found.data.class_names) for score in (found.clean, *scores))


def plain_by_class(correct: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> ByClass:
    present = np.unique(labels[: len(correct)])
    rates = [plain_rate(Score.of(correct[labels[: len(correct)] == label])) for label in present]
    lowest = min(range(len(rates)), key=lambda index: rates[index].percent)
    macro = float(np.mean([rate.percent for rate in rates]))
    return ByClass(macro=macro, lowest=rates[lowest], lowest_name=names[present[lowest]])
