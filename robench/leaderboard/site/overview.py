"""The data of the whole page, as JSON: the rows of all tables, security curves and transfer matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robench.leaderboard.ranking import TESTED
from robench.leaderboard.tables import Row, Table
from robench.records.record import RunResult
from robench.statistics.intervals import Rate

RANKED_BY = {
    "worst": "accuracy in the worst case over all attacks",
    "clean": "clean accuracy",
    "adversarial": "accuracy under the strongest attack",
    "drop": "the largest drop",
    "trainable": "trained parameters",
    "seconds": "seconds",
}
"""What each sort of the leaderboard ranks by, in words."""


def overview(tables: Sequence[Table], records: Mapping[str, RunResult], sort: str) -> dict[str, Any]:
    """Return what the page's script shows.

    Args:
        tables: As :func:`robench.leaderboard.tables.leaderboard` ranks them.
        records: At least the records of the tables, by run ID.
        sort: What the tables are ranked by.
    """
    return {
        "ranked_by": RANKED_BY[sort],
        "tested": sort in TESTED,
        "tables": [_table(table) for table in tables],
        "rows": [row for number, table in enumerate(tables) for row in _rows(number, table, records)],
        "curves": _curves(tables, records),
        "matrices": _matrices(tables, records),
    }


def rate(found: Rate) -> list[float]:
    """Return the accuracy in percent, both ends of its interval, and n."""
    return [round(found.percent, 2), round(found.low, 2), round(found.high, 2), found.n]


def _table(table: Table) -> dict[str, Any]:
    attacks = [{"label": column.label, "threat": column.threat, "n": column.n} for column in table.columns]
    shared = (table.split, table.n_clean, table.test_fingerprint, *(column.label for column in table.columns))
    return {
        "id": " ".join(map(str, (*shared, table.precision))).strip(),
        "caption": table.caption,
        "dataset": table.dataset,
        "n": table.n_clean,
        "worst_eps": table.worst_eps,
        "attacks": attacks,
    }


def _rows(number: int, table: Table, records: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    sharing = Counter(row.rank for row in table.rows)
    return [_row(number, row, sharing[row.rank], records[row.run_id]) for row in table.rows]


def _row(number: int, row: Row, sharing: int, record: RunResult) -> dict[str, Any]:
    return {
        "key": f"{row.run_id}@{number}",
        "table": number,
        "rank": row.rank,
        "sharing": sharing,
        "model": row.model,
        "tuner": row.tuner,
        "seed": row.seed,
        "clean": rate(row.clean),
        "attacks": [rate(found) for found in row.attacks],
        "drop": round(max(row.drops), 2) if row.drops else None,
        "worst": rate(row.worst) if row.worst else None,
        "trained": row.trainable_parameters,
        "seconds": row.seconds,
        "checks": row.checks,
        "warnings": len(row.warnings),
        "plugins": sorted(set(record.provenance.plugins.values())),
        "run": row.run_id,
    }


def _curves(tables: Sequence[Table], records: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    """Return groups of comparable curves, one for each table, attack and norm."""
    from robench.present.figures.security import epsilon_curves

    groups: dict[tuple[int, str, str], dict[str, Any]] = {}
    for number, table in enumerate(tables):
        for row in table.rows:
            record = records[row.run_id]
            if record.data is None or record.data.test_fingerprint != table.test_fingerprint:
                continue  # this table is about another dataset of the run, and curves are drawn for its own only
            for position, curve in enumerate(epsilon_curves(record)):
                scale = 255 if curve.norm == "Linf" else 1
                n = min(found.n for _, found in curve.points)
                group = groups.setdefault(
                    (number, f"{curve.name}/{position}", curve.norm),
                    {"table": number, "name": f"{curve.name}, n={n:,}", "norm": curve.norm, "lines": []},
                )
                points = [[round(scale * eps, 6), *rate(found)] for eps, found in curve.points]
                group["lines"].append({"run": row.run_id, "points": points})
    return list(groups.values())


def _matrices(tables: Sequence[Table], records: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    """Return the transfer matrix of each set of test images that was attacked on more than one surrogate."""
    from robench.present.figures.transfer import transfer_matrix

    images: dict[tuple[str, str], dict[str, RunResult]] = {}
    for table in tables:
        for row in table.rows:
            record = records[row.run_id]
            if record.data is not None and record.data.test_fingerprint == table.test_fingerprint:
                images.setdefault((table.dataset, table.test_fingerprint), {})[row.run_id] = record
    found = []
    for (dataset, _), members in images.items():
        content = transfer_matrix(list(members.values()))
        if content is None or len(content[1]) < 2:
            continue
        (method, norm, eps, fingerprint, n, _), sources, targets, values = content
        found.append(
            {
                "caption": f"{dataset} ({fingerprint[:8]}): {method}, {norm} {eps}, n={n:,}",
                "sources": sources,
                "targets": targets,
                "percent": [[None if np.isnan(value) else round(float(value), 1) for value in row] for row in values.T],
            }
        )
    return found
