"""The data of the whole page, as JSON: the methods of all tables, security curves and transfer matrices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from robench.leaderboard.methods import VERDICTS, Row
from robench.leaderboard.site.cite import Paper, of_robench, papers
from robench.leaderboard.tables import Table
from robench.leaderboard.views.choose import views
from robench.leaderboard.views.view import View
from robench.records.record import RunResult
from robench.statistics.intervals import Rate, mean_rate


def overview(
    tables: Sequence[Table], records: Mapping[str, RunResult], reference: RunResult | None = None
) -> dict[str, Any]:
    """Return what the page's script shows.

    Args:
        tables: As :func:`robench.leaderboard.tables.leaderboard` ranks them; the one of most methods comes first, of
            several the newest.
        records: At least the records of the tables, by run ID.
        reference: The run that errors on corrupted images are divided by, for the mean corruption error, if any.
    """
    first = sorted(tables, key=newest, reverse=True)
    ordered = sorted(first, key=lambda table: -len(table.rows))
    references = list(dict.fromkeys(text for table in ordered for row in table.rows for text in row.references))
    found: dict[str, Paper] = {}
    for text in references:
        for paper in papers(text):
            found.setdefault(paper.url or paper.text, paper)
    places = {key: place for place, key in enumerate(found)}
    cited = {text: [places[paper.url or paper.text] for paper in papers(text)] for text in references}
    date = max(map(newest, tables), default="")
    return {
        "tables": [_table(table) for table in ordered],
        "rows": [
            _row(number, table, row, _problems(row, records), [at for text in row.references for at in cited[text]])
            for number, table in enumerate(ordered)
            for row in table.rows
        ],
        "papers": [vars(paper) for paper in found.values()],
        "robench": of_robench(date[:4]) if date else "",
        "newest": date[:10],
        "versions": _versions(records.values()),
        "curves": _curves(ordered, records),
        "matrices": _matrices(ordered, records),
        "views": _views(ordered, records, reference),
    }


def rate(found: Rate) -> list[float | None]:
    """Return the accuracy in percent, both ends of its interval, n, and the deviation over seeds."""
    # More digits than are shown, so that the page rounds as the terminal does.
    return [*(round(each, 4) for each in (found.percent, found.low, found.high)), found.n, _rounded(found.sd)]


def newest(table: Table) -> str:
    """Return when the newest run of a table began."""
    return max((run.started for row in table.rows for run in row.runs), default="")


def _versions(records: Iterable[RunResult]) -> list[str]:
    """Return the versions of robench that made the records."""
    found = {record.provenance.versions.get("robench", "") for record in records} - {""}
    return sorted(found, key=lambda text: [part.zfill(6) for part in text.split(".")])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _table(table: Table) -> dict[str, Any]:
    labels = [column.label for column in table.columns]
    shared = " ".join(map(str, (table.split, table.n_clean, table.test_fingerprint, *labels, table.precision)))
    attacks = []
    for column in table.columns:
        *radius, knowledge = column.threat.split()
        attacks.append({"label": column.label, "ball": " ".join(radius), "knowledge": knowledge, "n": column.n})
    return {
        "id": hashlib.sha256(shared.encode()).hexdigest()[:8],
        "caption": table.caption,
        "dataset": table.dataset,
        "split": table.split,
        "images": table.test_fingerprint[:8],
        "precision": table.precision,
        "n": table.n_clean,
        "resolution": table.resolution,
        "model": table.model,
        "attacks": attacks,
        "balls": [{"at": f"{ball.norm} {ball.eps}", "measured": ball.measured, "n": ball.n} for ball in table.balls],
        "ball": table.ball,
        "certified": [" ".join(radius) for radius in table.certified],
        "sort": table.sort,
        "ranked_by": table.ranked_by,
        "reading": table.reading,
        "more": table.more,
        "newest": newest(table)[:10],
    }


def _problems(row: Row, records: Mapping[str, RunResult]) -> list[list[Any]]:
    """Return the checks of a method that did not pass, worst first: verdict, name, one reason, and in how many runs."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in row.runs:
        own = {(check.verdict, check.name): check.reason for check in records[run.run_id].checks_worst_first}
        for key, reason in own.items():
            if key[0] not in ("pass", "skipped"):
                found.setdefault(key, []).append(reason)
    worst = sorted(found.items(), key=lambda each: VERDICTS.index(each[0][0]) if each[0][0] in VERDICTS else 0)
    return [[verdict, name, reasons[0], len(reasons)] for (verdict, name), reasons in worst]


def _row(number: int, table: Table, row: Row, problems: list[list[Any]], cited: list[int]) -> dict[str, Any]:
    return {
        "table": number,
        "rank": [row.rank_low, row.rank_high],
        "name": row.name,
        "model": row.model,
        "tuner": row.tuner,
        "against": row.trained_against,
        "settings": row.settings,
        "clean": rate(row.clean),
        "attacks": [rate(found) for found in row.attacks],
        "worst": [rate(found) for found in row.worst],
        "certified": [None if (found := row.proved(*at)) is None else rate(found) for at in table.certified],
        "drop": round(max(row.drops), 2) if row.drops else None,
        "trained": row.trainable_parameters,
        "seconds": round(row.seconds, 1),
        "checks": row.checks,
        "problems": problems,
        "warnings": list(row.warnings),
        "plugins": list(row.plugins),
        "papers": list(dict.fromkeys(cited)),
        "runs": [
            {
                "run": run.run_id,
                "seed": run.seed,
                "clean": round(run.clean, 2),
                "attacks": [round(each, 2) for each in run.attacks],
                "worst": [round(each, 2) for each in run.worst],
                "seconds": round(run.seconds, 1),
                "checks": run.checks,
            }
            for run in row.runs
        ],
    }


def _views(
    tables: Sequence[Table], records: Mapping[str, RunResult], reference: RunResult | None
) -> list[dict[str, Any]]:
    """Return the views of each table that show more than the table itself."""
    found = []
    for number, table in enumerate(tables):
        norms = dict.fromkeys(ball.norm.lower() for ball in table.balls)
        for name in ("all", "corruptions", "calibration", *(norms if len(norms) > 1 else ())):
            for view in views(name, table, records, reference):
                if {column.kind for column in view.columns} - {"clean", "worst case"} or len(norms) > 1:
                    found.append(_view(number, view))
    return [each for each in found if each["columns"]]


def _view(number: int, view: View) -> dict[str, Any]:
    cells = [
        [
            None if each is None else [*(round(x, 4) for x in (each.value, each.low, each.high)), each.n, each.bound]
            for each in row
        ]
        for row in view.cells
    ]
    columns = [vars(column) for column in view.columns]
    return {"table": number, "about": view.about, "notes": view.notes, "columns": columns, "cells": cells}


def _curves(tables: Sequence[Table], records: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    """Return groups of comparable curves, one for each table, attack and norm; a curve is the mean of a method."""
    from robench.present.figures.security import epsilon_curves

    groups: dict[tuple[int, str, str, str], dict[str, Any]] = {}
    place = -1
    for number, table in enumerate(tables):
        for row in table.rows:
            place += 1
            points: dict[tuple[str, str, str], dict[float, list[Rate]]] = {}
            for run in row.runs:
                record = records[run.run_id]
                if record.data is None or record.data.test_fingerprint != table.test_fingerprint:
                    continue  # this table is about another dataset of the run, and curves are drawn for its own only
                for position, curve in enumerate(epsilon_curves(record)):
                    own = points.setdefault((f"{curve.name}/{position}", curve.norm, curve.unit), {})
                    for eps, found in curve.points:
                        own.setdefault(curve.scale * eps, []).append(found)
            for (name, norm, unit), own in points.items():
                n = min(found.n for rates in own.values() for found in rates)
                title = f"{name.rpartition('/')[0]}, n={n:,}"
                empty = {"table": number, "name": title, "norm": norm, "unit": unit, "lines": []}
                group = groups.setdefault((number, name, norm, unit), empty)
                line = [[round(eps, 6), *rate(_mean(rates))] for eps, rates in sorted(own.items())]
                group["lines"].append({"row": place, "points": line})
    return list(groups.values())


def _mean(rates: Sequence[Rate]) -> Rate:
    n = min(found.n for found in rates)
    return mean_rate(tuple(round(found.percent * n / 100) for found in rates), n)


def _matrices(tables: Sequence[Table], records: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    """Return the transfer matrix of each set of test images that was attacked on more than one surrogate."""
    from robench.present.figures.transfer import transfer_matrix

    images: dict[tuple[str, str], dict[str, RunResult]] = {}
    for table in tables:
        for run in (run for row in table.rows for run in row.runs):
            record = records[run.run_id]
            if record.data is not None and record.data.test_fingerprint == table.test_fingerprint:
                images.setdefault((table.dataset, table.test_fingerprint), {})[run.run_id] = record
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
