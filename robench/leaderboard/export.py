"""Write leaderboard tables for programs: as CSV and JSON, one table at a time, so that few are in memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from robench.leaderboard.methods import Row
from robench.leaderboard.ranking import Ranking
from robench.leaderboard.tables import Table, case_at, certified_at, certified_radii
from robench.present.harmless import cell
from robench.statistics.intervals import Rate

RATE = ("percent", "low", "high", "n")
CLASSES = ("macro_percent", "worst_class", "worst_class_percent", "worst_class_n")


def csv_fields(rankings: Iterable[Ranking]) -> list[str]:
    """Return the header of a CSV file with the rows of all `rankings`."""
    fields: dict[str, None] = {}
    for ranking in rankings:
        attacks = [label for label, _, _ in ranking.shared["columns"]]
        classes = CLASSES if ranking.has_any("macro") else ()
        rate = (*RATE, "sd") if len(ranking.rows) > len(ranking) else RATE
        fields |= dict.fromkeys(("rank", "rank_low", "rank_high", "dataset", "split", "images", "model", "method"))
        fields |= dict.fromkeys(("trained_against", "tuner", "seed", "runs"))
        fields |= {f"clean_{each}": None for each in rate}
        fields |= {f"{label}_{each}": None for label in attacks for each in (*rate, "drop")}
        fields |= {f"{after(label, at)}_{each}": None for label, at in ranking.asked() for each in rate}
        fields |= {f"{label}_{each}": None for label in ("clean", *attacks) for each in classes}
        if ranking.ball is not None:
            fields |= {f"worst_{each}": None for each in (*rate, "eps", "measured")}
        fields |= {f"{case_at(ball)}_{each}": None for ball in ranking.balls for each in (*rate, "measured")}
        fields |= {f"{certified_at(*radius)}_{each}": None for radius in certified_radii(ranking) for each in rate}
        fields |= dict.fromkeys(("trainable_parameters", "seconds", "checks", "plugins", "run_id", "settings"))
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
        several = any(len(row.runs) > 1 for row in table.rows)
        for row in table.rows:
            # A row of one table has few of the fields of all tables; csv.DictWriter would look up every one.
            line: list[object] = [*nothing]
            for field, value in _flat(table, row, several).items():
                line[places[field]] = cell(value)
            writer.writerow(line)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _flat(table: Table, row: Row, several: bool) -> dict[str, Any]:
    """Return the figures of one row by the fields of :func:`csv_fields`, of `several` runs with deviations."""
    flat: dict[str, Any] = {
        "rank": row.rank_low,
        "rank_low": row.rank_low,
        "rank_high": row.rank_high,
        "dataset": table.dataset,
        "split": table.split,
        "images": table.test_fingerprint,
        "model": row.model,
        "method": row.name,
        "trained_against": row.trained_against,
        "tuner": row.tuner,
        "seed": row.seeds[0] if len(row.runs) == 1 else "; ".join(map(str, row.seeds)),
        "runs": len(row.runs),
        **_rate("clean", row.clean, several),
    }
    labels = [column.label for column in table.columns]
    for label, rate, drop in zip(labels, row.attacks, row.drops, strict=True):
        flat |= {**_rate(label, rate, several), f"{label}_drop": round(drop, 2)}
    for label, curve in zip(labels, row.queries, strict=False):
        for at, rate in curve:
            flat |= _rate(after(label, at), rate, several)
    for label, found in zip(("clean", *labels), row.classes or (), strict=False):
        figures = (round(found.macro, 2), found.lowest_name, round(found.lowest.percent, 2), found.lowest.n)
        flat |= {f"{label}_{each}": figure for each, figure in zip(CLASSES, figures, strict=True)}
    for place, (ball, rate) in enumerate(zip(table.balls, row.worst, strict=True)):
        measured = "yes" if ball.measured else "no"
        flat |= {**_rate(case_at(ball), rate, several), f"{case_at(ball)}_measured": measured}
        if place == table.ball:
            flat |= {**_rate("worst", rate, several), "worst_eps": ball.eps, "worst_measured": measured}
    for each in row.certified:
        flat |= _rate(certified_at(each.norm, each.eps), each.rate, several)
    return flat | {
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "checks": row.checks,
        "plugins": "; ".join(row.plugins),
        "run_id": "; ".join(run.run_id for run in row.runs),
        "settings": row.settings,
    }


def after(label: str, queries: int) -> str:
    """Return the name of the accuracy under an attack after so many queries: ``square_after_100``."""
    return f"{label}_after_{queries}"


def _rate(label: str, rate: Rate, several: bool) -> dict[str, Any]:
    figures = [round(rate.percent, 2), round(rate.low, 2), round(rate.high, 2), rate.n]
    flat: dict[str, Any] = {f"{label}_{each}": figure for each, figure in zip(RATE, figures, strict=True)}
    return flat | {f"{label}_sd": "" if rate.sd is None else round(rate.sd, 2)} if several else flat


def to_json(tables: Iterable[Table]) -> Iterator[str]:
    """Yield JSON table by table, with every figure in full and each row on a line."""
    before = "["
    for table in tables:
        shared = json.dumps(vars(replace(table, rows=())), default=vars, allow_nan=False)
        rows = ",\n".join(json.dumps(_plain(row), default=vars, allow_nan=False) for row in table.rows)
        yield before + shared.replace('"rows": []', f'"rows": [\n{rows}\n]')
        before = ",\n"
    yield "[]" if before == "[" else "]"


def _plain(row: Row) -> dict[str, Any]:
    """Return a row with its lowest rank as ``rank``; of a single run also with its seed and run ID."""
    single = {"seed": row.seeds[0], "run_id": row.runs[0].run_id} if len(row.runs) == 1 else {}
    return {"rank": row.rank_low, **vars(row), **single}
