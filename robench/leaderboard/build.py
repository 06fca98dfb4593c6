"""From records to ranked tables: a pure function that puts only comparable rows side by side.

Rows share a table if they share the test images, every attack with its threat model, parameters, surrogate
weights and n, and the precision of evaluation and attacks. Other rows stand in other tables, never in one ranking.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from robench.leaderboard.columns import picked
from robench.leaderboard.rankings import Ranking, rankings, shared
from robench.statistics.intervals import ByClass, Rate, rate

if TYPE_CHECKING:
    from robench.records.record import RunResult

OF_A_ROW = (
    *(
        "run_id",
        "started",
        "model",
        "tuner",
        "seed",
        "trainable_parameters",
        "seconds",
        "warnings",
        "checks",
        "plugins",
    ),
    *("n", "correct", "drops", "macro", "lowest_n", "lowest_correct", "lowest_name", "worst_n", "worst_correct"),
)
"""Columns that a row is made of."""


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
    """Rows that may be compared with each other, best first; ``more`` rows were ranked with them and are left out.

    ``precision`` is what images were scored and attacked in; empty where all was float32.
    """

    dataset: str
    split: str
    test_fingerprint: str
    n_clean: int
    columns: tuple[Column, ...]
    worst_eps: str | None
    precision: str
    rows: tuple[Row, ...]
    more: int = 0


def leaderboard(records: Iterable[RunResult], *, sort: str = "worst", filters: Sequence[str] = ()) -> list[Table]:
    """Rank completed runs in tables of comparable rows; of repeats of one run the latest counts.

    Args:
        records: Any records; those that did not complete are left out.
        sort: One of :data:`robench.leaderboard.rankings.SORTS`. Accuracies descend; ``drop``, ``trainable`` and
            ``seconds`` ascend.
        filters: ``field=pattern``, with ``*`` for anything; rows must match all of them.

    Raises:
        SpecError: An unknown sort or filter.
        DataError: A record contradicts itself.
    """
    from robench.leaderboard.entries import entries

    return [table_of(ranking) for ranking in rankings(entries(records), sort=sort, filters=filters)]


def table_of(ranking: Ranking, top: int | None = None) -> Table:
    """Return the `top` best rows of a ranking, or all; ranks are those among all."""
    kept = len(ranking.order) if top is None else min(top, len(ranking.order))
    rows = picked(ranking.entries.select(OF_A_ROW), ranking.order[:kept]).to_pylist()
    common = shared(ranking)
    return Table(
        dataset=common["dataset"],
        split=common["split"],
        test_fingerprint=common["images"],
        n_clean=common["n_clean"],
        columns=tuple(Column(label=label, threat=threat, n=n) for label, threat, n in common["columns"]),
        worst_eps=common["worst_eps"],
        precision=common["precision"],
        rows=tuple(_row(row, rank) for row, rank in zip(rows, ranking.ranks()[:kept], strict=True)),
        more=len(ranking.order) - kept,
    )


def fitting(sizes: Sequence[int], limit: int, fewest: int) -> list[int]:
    """Return how many rows to show of each table, in order, so that there are about `limit` in all.

    As many of each as fit, but no fewer than `fewest`; where even these do not fit, the first tables are shown.
    """
    each = max(sizes, default=0)
    while each > fewest and sum(min(size, each) for size in sizes) > limit:
        each -= 1
    kept = [min(size, each) for size in sizes]
    return [rows if before < limit else 0 for rows, before in zip(kept, accumulate(kept, initial=0), strict=False)]


def _row(row: Mapping[str, Any], rank: int) -> Row:
    clean, *attacks = map(rate, row["correct"], row["n"])
    return Row(
        rank=rank,
        model=row["model"],
        tuner=row["tuner"],
        clean=clean,
        attacks=tuple(attacks),
        drops=tuple(row["drops"]),
        worst=None if row["worst_n"] is None else rate(row["worst_correct"], row["worst_n"]),
        trainable_parameters=row["trainable_parameters"],
        seconds=row["seconds"],
        seed=int(row["seed"]),
        started=row["started"],
        run_id=row["run_id"],
        warnings=_texts(row["warnings"]),
        checks=row["checks"],
        plugins=_texts(row["plugins"]),
        classes=None if row["macro"] is None else _classes(row),
    )


def _classes(row: Mapping[str, Any]) -> tuple[ByClass, ...]:
    lowest = map(rate, row["lowest_correct"], row["lowest_n"])
    return tuple(
        ByClass(macro=macro, lowest=found, lowest_name=name)
        for macro, found, name in zip(row["macro"], lowest, _texts(row["lowest_name"]), strict=True)
    )


@lru_cache(maxsize=65536)  # of many rows, few differ
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
