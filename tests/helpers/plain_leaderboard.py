"""The leaderboard said plainly, record by record and pair by pair: what the one on columns must agree with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from math import sqrt
from statistics import mean, stdev
from typing import Any

import numpy as np
from pytest import approx
from robench.leaderboard.methods import Row, Run
from robench.leaderboard.tables import Column, Table
from robench.records.labels import attack_label
from robench.records.measurement import Measured, comparison_key, drop, measurements
from robench.records.record import AttackScore, RunResult, Score
from robench.statistics.intervals import ByClass, Rate
from robench.statistics.worst_case import Ball
from scipy.stats import binomtest, norm, t

WORDS = ("name", "settings", "trained_against", "references", "reading")
"""Texts that :func:`alike` does not compare."""


VERDICTS = ["fail", "incomplete", "warn", "none", "pass"]


def alike(found: Any, expected: Any) -> bool:
    """Tell whether two boards are equal, figures to nine digits, and words apart."""
    return bool(plain_values(found) == approx_of(plain_values(expected)))


def plain_values(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {key: plain_values(each) for key, each in vars(value).items() if key not in WORDS}
    return value


def approx_of(value: Any) -> Any:
    if isinstance(value, list):
        return [approx_of(each) for each in value]
    if isinstance(value, dict):
        return {key: approx_of(each) for key, each in value.items()}
    return approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


def plain_leaderboard(
    records: Sequence[RunResult], sort: str, filters: Sequence[tuple[str, str]] = (), runs: bool = False
) -> list[Table]:
    latest: dict[str, RunResult] = {}
    for record in sorted(records, key=lambda record: record.provenance.started):
        if record.status == "completed":
            latest[record.spec.run_id()] = record
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for record in latest.values():
        for found in measurements(record):
            if all(matches(found, *condition) for condition in filters):
                groups.setdefault(comparison_key(found), []).append(found)
    tables = [table(group, sort, runs) for group in groups.values()]
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


def table(group: list[Measured], sort: str, runs: bool) -> Table:
    first = group[0]
    test_size = first.record.spec.test_size
    methods: dict[str, list[Measured]] = {}
    for found in group:
        methods.setdefault(found.record.run_id if runs else without_seed(found), []).append(found)
    balls = plain_balls(first)
    ball = chosen(list(methods.values()), balls) if sort == "worst" else None
    keyed = [(method_key(method, sort, ball), method) for method in methods.values()]
    keyed.sort(key=lambda each: (each[0], -mean(sum(s.accuracy for s in found.attacks) for found in each[1])))
    ordered = [sorted(method, key=lambda found: found.record.spec.seed) for _, method in keyed]
    ranks = ranks_of(ordered, [key for key, _ in keyed], sort, ball)
    models = {found.record.spec.model.label for found in group}
    return Table(
        dataset=first.dataset.label,
        split=first.record.spec.split,
        test_fingerprint=first.data.test_fingerprint,
        n_clean=test_size,
        resolution=" x ".join(map(str, dict.fromkeys(first.data.image_size))) + " px",
        columns=tuple(
            Column(
                label=attack_label(score.label, score.n, test_size),
                threat=f"{score.norm} {score.eps} {score.knowledge}",
                n=score.n,
            )
            for score in by_label(first)
        ),
        balls=tuple(balls),
        ball=None if ball is None else balls.index(ball),
        sort=sort,
        certified=(),
        model=models.pop() if len(models) == 1 else "",
        over_seeds=len(group) - len(methods) >= 4,
        reading="",
        precision=first.precision,
        rows=tuple(row(method, span, balls) for method, span in zip(ordered, ranks, strict=True)),
    )


def without_seed(found: Measured) -> str:
    spec = found.record.spec.model_dump(mode="json") | {"seed": 0}
    return json.dumps(spec | {"attacks": sorted(spec["attacks"], key=json.dumps)}, sort_keys=True)


def plain_balls(found: Measured) -> list[Ball]:
    attacks = [score for score in found.attacks if score.knowledge != "nothing"]
    places = sorted({(score.norm != "Linf", score.norm, Fraction(score.eps), score.eps) for score in attacks})
    return [
        Ball(
            norm=name,
            eps=eps,
            measured=("white-box", name, eps) in {(score.knowledge, score.norm, score.eps) for score in attacks},
            n=min(score.n for score in attacks if score.norm == name and Fraction(score.eps) <= radius),
        )
        for _, name, radius, eps in places
    ]


def within(found: Measured, ball: Ball) -> np.ndarray:
    inside = [s for s in found.attacks if s.norm == ball.norm and Fraction(s.eps) <= Fraction(ball.eps)]
    return np.logical_and.reduce([score.mask()[: ball.n] for score in (found.clean, *inside)])


def chosen(methods: list[list[Measured]], balls: list[Ball]) -> Ball | None:
    """The largest radius with a white-box attack at which most methods are above 0."""
    measured = [ball for ball in balls if ball.measured]
    for ball in sorted(measured, key=lambda ball: (ball.norm != "Linf", -Fraction(ball.eps))):
        shares = [mean(float(within(found, ball).mean()) for found in method) for method in methods]
        ends = [plain_wilson(share, ball.n)[0] > plain_wilson(0, ball.n)[1] for share in shares]
        if 2 * sum(ends) > len(ends):
            return ball
    if measured:
        return measured[0]
    return [ball for ball in balls if ball.norm == balls[0].norm][-1] if balls else None


def by_label(found: Measured) -> list[AttackScore]:
    return sorted(found.attacks, key=lambda score: (score.knowledge, score.label))


def method_key(method: list[Measured], sort: str, ball: Ball | None) -> float:
    return round(mean(sort_key(found, sort, ball) for found in method), 12)


def sort_key(found: Measured, sort: str, ball: Ball | None) -> float:
    assert found.record.tuning is not None
    adversarial = min((score.accuracy for score in found.attacks), default=found.clean.accuracy)
    return {
        "worst": -(adversarial if ball is None else float(within(found, ball).mean())),
        "clean": -found.clean.accuracy,
        "adversarial": -adversarial,
        "drop": max((drop(found.clean, score) for score in found.attacks), default=0.0),
        "trainable": float(found.record.tuning.trainable_parameters),
        "seconds": found.record.seconds["total"],
    }[sort]


def ranks_of(ordered: list[list[Measured]], keys: list[float], sort: str, ball: Ball | None) -> list[tuple[int, int]]:
    if sort in ("worst", "clean", "adversarial"):
        masks = [[right(found, sort, ball) for found in method] for method in ordered]
        n = min(len(mask) for method in masks for mask in method)
        return plain_ranks([[mask[:n] for mask in method] for method in masks], [-key for key in keys])
    return [(1 + sum(other < key for other in keys), sum(other <= key for other in keys)) for key in keys]


def right(found: Measured, sort: str, ball: Ball | None) -> np.ndarray:
    if sort == "clean" or not found.attacks:
        return found.clean.mask()
    if ball is not None:
        return within(found, ball)
    return min(found.attacks, key=lambda score: score.accuracy).mask()


def plain_ranks(methods: Sequence[Sequence[np.ndarray]], figures: Sequence[float]) -> list[tuple[int, int]]:
    """Each pair tested by itself; then whole groups are told apart, as robench.statistics.ranks says."""
    every = range(len(methods))
    level = 0.05 / max(1, len(methods) * (len(methods) - 1) // 2)
    totals = [[int(mask.sum()) for mask in method] for method in methods]
    free = sum(len(method) - 1 for method in methods)
    pooled = sum((total - mean(each)) ** 2 for each in totals for total in each) / free if free >= 4 else 0.0

    def variance(method: int) -> float:
        several = free >= 4 and len(totals[method]) > 1
        return max(stdev(totals[method]) ** 2, pooled) / len(totals[method]) if several else 0.0

    def better(one: int, other: int) -> bool:
        if all(len(method) == 1 for method in methods):
            gained = int((methods[one][0] & ~methods[other][0]).sum())
            lost = int((methods[other][0] & ~methods[one][0]).sum())
            return gained > lost and binomtest(lost, gained + lost).pvalue < level
        pairs = [(first, second) for first in methods[one] for second in methods[other]]
        gain = mean(totals[one]) - mean(totals[other]) - 1
        allowed = norm.isf(level / 2) ** 2 * mean(int((first ^ second).sum()) for first, second in pairs)
        if free >= 4:
            allowed += t.isf(level / 2, free) ** 2 * (variance(one) + variance(other))
        return gain > 0 and gain**2 > allowed

    significant = {(one, other) for one in every for other in every if better(one, other)}

    def apart(one: int, other: int) -> bool:
        above = [each for each in every if figures[each] >= figures[one]]
        below = [each for each in every if figures[each] <= figures[other]]
        return all((first, second) in significant for first in above for second in below)

    return [
        (
            1 + sum(apart(other, one) for other in every),
            len(methods) - sum(apart(one, other) for other in every),
        )
        for one in every
    ]


def row(method: list[Measured], span: tuple[int, int], balls: list[Ball]) -> Row:
    records, scores = [found.record for found in method], [by_label(found) for found in method]
    tuned = [record.tuning for record in records if record.tuning]
    worst = [[Score.of(within(found, ball)) for ball in balls] for found in method]
    return Row(
        rank_low=span[0],
        rank_high=span[1],
        name="",
        settings="",
        trained_against="",
        references=(),
        model=records[0].spec.model.label,
        tuner=method[0].tuner,
        clean=mean_of([found.clean for found in method]),
        attacks=tuple(mean_of(list(each)) for each in zip(*scores, strict=True)),
        drops=tuple(
            mean(drop(found.clean, by_label(found)[place]) for found in method) for place in range(len(scores[0]))
        ),
        worst=tuple(mean_of(list(each)) for each in zip(*worst, strict=True)),
        certified=(),
        trainable_parameters=max(each.trainable_parameters for each in tuned),
        seconds=mean(record.seconds["total"] for record in records),
        checks=min(
            (record.verdict or "none" for record in records), key=["fail", "incomplete", "warn", "none", "pass"].index
        ),
        warnings=tuple(dict.fromkeys(text for record in records for text in record.warnings)),
        plugins=tuple(dict.fromkeys(name for record in records for name in foreign(record))),
        classes=classes(method, scores),
        runs=tuple(
            Run(
                run_id=record.run_id,
                seed=record.spec.seed,
                started=record.provenance.started,
                seconds=record.seconds["total"],
                checks=record.verdict or "none",
                warnings=record.warnings,
                clean=100 * found.clean.accuracy,
                attacks=tuple(100 * score.accuracy for score in by_label(found)),
                worst=tuple(100 * score.accuracy for score in each),
            )
            for found, record, each in zip(method, records, worst, strict=True)
        ),
    )


def foreign(record: RunResult) -> list[str]:
    return sorted({name for name in record.provenance.plugins.values() if not name.startswith("robench ")})


def mean_of(scores: list[Any]) -> Rate:
    """Wilson's interval at the size that has the variance of one run over images plus that over runs."""
    if len(scores) == 1:
        return plain_rate(scores[0])
    n, shares = scores[0].n, [score.accuracy for score in scores]
    share, between = mean(shares), stdev(shares) ** 2 / len(shares)
    z, size = norm.isf(0.025), n
    if between > 0:
        whole = share * (1 - share) / n + between
        z, size = t.isf(0.025, whole**2 / (between**2 / (len(shares) - 1))), share * (1 - share) / whole
    low, high = plain_wilson(share, size, z)
    return Rate(percent=100 * share, low=100 * low, high=100 * high, n=n, sd=100 * stdev(shares))


def plain_wilson(share: float, n: float, z: float = float(norm.isf(0.025))) -> tuple[float, float]:
    middle, half = share + z**2 / (2 * n), z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    ends = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return (0.0 if share == 0 else ends[0]), (1.0 if share == 1 else ends[1])


def plain_rate(score: Score) -> Rate:
    interval = binomtest(score.correct, score.n).proportion_ci(0.95, method="wilson")
    return Rate(percent=100 * score.accuracy, low=100 * interval.low, high=100 * interval.high, n=score.n)


def classes(method: list[Measured], scores: list[list[AttackScore]]) -> tuple[ByClass, ...] | None:
    found = []
    for each, attacks in zip(method, scores, strict=True):
        labels = each.data.scored_labels()
        if labels is None:
            return None
        names = each.data.class_names
        found.append([plain_by_class(score.mask(), labels, names) for score in (each.clean, *attacks)])
    return tuple(
        ByClass(
            macro=mean(each.macro for each in column),
            lowest=min((each.lowest for each in column), key=lambda rate: rate.percent),
            lowest_name=min(column, key=lambda each: each.lowest.percent).lowest_name,
        )
        for column in zip(*found, strict=True)
    )


def plain_by_class(correct: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> ByClass:
    present = np.unique(labels[: len(correct)])
    rates = [plain_rate(Score.of(correct[labels[: len(correct)] == label])) for label in present]
    lowest = min(range(len(rates)), key=lambda index: rates[index].percent)
    macro = float(np.mean([rate.percent for rate in rates]))
    return ByClass(macro=macro, lowest=rates[lowest], lowest_name=names[present[lowest]])
