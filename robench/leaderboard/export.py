"""Write leaderboard tables for programs: as CSV and JSON, one table at a time, so that few are in memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from robench.leaderboard.ranking import Ranking
from robench.leaderboard.tables import Row, Table
from robench.present.harmless import cell
from robench.statistics.intervals import Rate

RATE = ("percent", "low", "high", "n")
CLASSES = ("macro_percent", "worst_class", "worst_class_percent", "worst_class_n")


def csv_fields(rankings: Iterable[Ranking]) -> list[str]:
    """Return the header of a CSV file with the rows of all `rankings`."""
    fields: dict[str, None] = {}
    for ranking in rankings:
        attacks = [label for label, _, _ in ranking.shared()["columns"]]
        classes = CLASSES if ranking.has_any("macro") else ()
        worst = (*RATE, "eps") if ranking.has_any("worst_n") else ()
        fields |= dict.fromkeys(("rank", "dataset", "split", "images", "model", "tuner", "seed"))
        fields |= {f"clean_{each}": None for each in RATE}
        fields |= {f"{label}_{each}": None for label in attacks for each in (*RATE, "drop")}
        fields |= {f"{label}_{each}": None for label in ("clean", *attacks) for each in classes}
        fields |= {f"worst_{each}": None for each in worst}
        fields |= dict.fromkeys(("trainable_parameters", "seconds", "checks", "plugins", "run_id"))
    return list(fields)


def to_csv(tables: Iterable[Table], fields: Sequence[str]) -> Iterator[str]:
    """Yield the header, and then the rows of each table; figures that a table lacks are empty.

    Args:
        fields: The header, as of :func:`csv_fields`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(field) for field in fields])
    places, nothing = {field: place for place, field in enumerate(fields)}, [""] * len(fields)
    for table in tables:
        for row in table.rows:
            # A row of one table has few of the fields of all tables; csv.DictWriter would look up every one.
            line: list[object] = [*nothing]
            for field, value in _flat(table, row).items():
                line[places[field]] = cell(value)
            writer.writerow(line)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _flat(table: Table, row: Row) -> dict[str, Any]:
    """Return the figures of one row by the fields of :func:`csv_fields`."""
    flat: dict[str, Any] = {
        "rank": row.rank,
        "dataset": table.dataset,
        "split": table.split,
        "images": table.test_fingerprint,
        "model": row.model,
        "tuner": row.tuner,
        "seed": row.seed,
        **_rate("clean", row.clean),
    }
    labels = [column.label for column in table.columns]
    for label, rate, drop in zip(labels, row.attacks, row.drops, strict=True):
        flat |= {**_rate(label, rate), f"{label}_drop": round(drop, 2)}
    for label, found in zip(("clean", *labels), row.classes or (), strict=False):
        figures = (round(found.macro, 2), found.lowest_name, round(found.lowest.percent, 2), found.lowest.n)
        flat |= {f"{label}_{each}": figure for each, figure in zip(CLASSES, figures, strict=True)}
    if row.worst:
        flat |= {**_rate("worst", row.worst), "worst_eps": table.worst_eps}
    return flat | {
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "checks": row.checks,
        "plugins": "; ".join(row.plugins),
        "run_id": row.run_id,
    }


def _rate(label: str, rate: Rate) -> dict[str, Any]:
    figures = (round(rate.percent, 2), round(rate.low, 2), round(rate.high, 2), rate.n)
    return {f"{label}_{each}": figure for each, figure in zip(RATE, figures, strict=True)}


def to_json(tables: Iterable[Table]) -> Iterator[str]:
    """Yield JSON table by table, with every figure in full and each row on a line."""
    before = "["
    for table in tables:
        shared = json.dumps(vars(replace(table, rows=())), default=vars, allow_nan=False)
        rows = ",\n".join(json.dumps(row, default=vars, allow_nan=False) for row in table.rows)
        yield before + shared.replace('"rows": []', f'"rows": [\n{rows}\n]')
        before = ",\n"
    yield "[]" if before == "[" else "]"
