"""Leaderboard tables for programs, as CSV or JSON, written a table at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from robench.leaderboard.build import Row, Table
from robench.leaderboard.rankings import Ranking, has_any, shared
from robench.statistics.intervals import Rate

RATE = ("percent", "low", "high", "n")
"""What is written of an accuracy, in the order of :func:`_rate`."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Which figures rows have, besides those of every row."""

    attacks: tuple[str, ...]
    classes: bool
    worst: bool


def figures_of(table: Table) -> Figures:
    """Return which figures rows of `table` have."""
    return Figures(
        attacks=tuple(column.label for column in table.columns),
        classes=any(row.classes for row in table.rows),
        worst=any(row.worst for row in table.rows),
    )


def figures_of_ranking(ranking: Ranking) -> Figures:
    """Return which figures rows of a table have that is not made yet."""
    return Figures(
        attacks=tuple(label for label, _, _ in shared(ranking)["columns"]),
        classes=has_any(ranking, "macro"),
        worst=has_any(ranking, "worst_n"),
    )


@lru_cache(maxsize=64)  # of many rows, few differ
def _fields(figures: Figures) -> tuple[str, ...]:
    """Return the columns of rows that have such figures, in the order of :func:`_values`."""
    labels = ("clean", *figures.attacks)
    classes = ("macro_percent", "worst_class", "worst_class_percent", "worst_class_n") if figures.classes else ()
    return (
        *("rank", "dataset", "split", "images", "model", "tuner", "seed"),
        *(f"clean_{each}" for each in RATE),
        *(f"{label}_{each}" for label in figures.attacks for each in (*RATE, "drop")),
        *(f"{label}_{each}" for label in labels for each in classes),
        *(f"worst_{each}" for each in ((*RATE, "eps") if figures.worst else ())),
        *("trainable_parameters", "seconds", "checks", "plugins", "run_id"),
    )


def _values(table: Table, row: Row) -> list[Any]:
    """Return what stands in the columns of `row`."""
    attacks = (value for rate, drop in zip(row.attacks, row.drops, strict=True) for value in (*_rate(rate), _2(drop)))
    classes = (
        value
        for found in row.classes or ()
        for value in (_2(found.macro), found.lowest_name, _2(found.lowest.percent), found.lowest.n)
    )
    return [
        *(row.rank, table.dataset, table.split, table.test_fingerprint, row.model, row.tuner, row.seed),
        *_rate(row.clean),
        *attacks,
        *classes,
        *((*_rate(row.worst), table.worst_eps) if row.worst else ()),
        *(row.trainable_parameters, row.seconds, row.checks, "; ".join(row.plugins), row.run_id),
    ]


def _rate(rate: Rate) -> tuple[float, float, float, int]:
    return _2(rate.percent), _2(rate.low), _2(rate.high), rate.n


def _2(value: float) -> float:
    return round(value, 2)


def to_csv(tables: Sequence[Table]) -> str:
    """Return all rows under one header; figures that a table lacks are empty."""
    return "".join(csv_pieces(tables, csv_fields(map(figures_of, tables)))) if tables else ""


def csv_fields(kinds: Iterable[Figures]) -> list[str]:
    """Return the header of tables that have such figures."""
    return list(dict.fromkeys(field for kind in kinds for field in _fields(kind)))


def csv_pieces(tables: Iterable[Table], fields: Sequence[str]) -> Iterator[str]:
    """Yield the header, and table by table the rows, so that no more than one table need be there at a time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    places, nothing = {field: place for place, field in enumerate(fields)}, [""] * len(fields)
    for table in tables:
        attacks = figures_of(table).attacks
        for row in table.rows:
            own = Figures(attacks=attacks, classes=bool(row.classes), worst=bool(row.worst))
            line = nothing.copy()  # most of the columns of many tables
            for field, value in zip(_fields(own), _values(table, row), strict=True):
                line[places[field]] = value
            writer.writerow(line)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def to_json(tables: Iterable[Table]) -> str:
    """Return the tables as JSON, every figure in full."""
    return "".join(json_pieces(tables))


def json_pieces(tables: Iterable[Table]) -> Iterator[str]:
    """Yield what :func:`to_json` returns table by table, a line a row."""
    before = "["
    for table in tables:
        shared = json.dumps(vars(replace(table, rows=())), default=vars)
        rows = ",\n".join(json.dumps(row, default=vars) for row in table.rows)
        yield before + shared.replace('"rows": []', f'"rows": [\n{rows}\n]')
        before = ",\n"
    yield "[]" if before == "[" else "]"
