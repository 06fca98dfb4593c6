"""Accuracy on corrupted images: the mean, by severity, and of each corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robench.leaderboard.tables import Table
from robench.leaderboard.views.view import Cell, Draft, View, ViewColumn, at_home, lacking
from robench.records.record import RunResult
from robench.statistics.corruptions import CorruptionSummary, summarise
from robench.statistics.intervals import Rate

LACKING = "no scores on corrupted images; --corruption common makes them"


def corruptions(table: Table, records: Mapping[str, RunResult]) -> View:
    """Return a view of the corruptions of a table; scores on other corrupted images have other columns."""
    draft = Draft(rows=len(table.rows))
    found = [summaries(at_home(table, row, records)) for row in table.rows]
    labels = list(dict.fromkeys(each.label for row in found for each in row))
    for place, row in enumerate(found):
        for summary in row:
            named = f" of {summary.label}" if len(labels) > 1 else ""
            rated = [("mean", summary.mean), *((f"severity {at}", rate) for at, rate in _by_severity(summary))]
            rated += [(each.replace("_", " "), rate) for each, rate in summary.by_name.items()]
            for label, rate in rated:
                column = ViewColumn(label=label + named, kind="corruption", note=f"n={rate.n:,}")
                draft.put(place, (summary.label, summary.images, label), column, Cell.of(rate))
    about = f"accuracy on corrupted images, without an adversary{': ' if labels else ''}{', '.join(labels)}"
    return draft.view("corruptions", table, about, lacking(draft, "corruption", LACKING))


def summaries(runs: Sequence[RunResult]) -> list[CorruptionSummary]:
    """Return the corruptions that all runs were scored on, on the same images."""
    if not runs:
        return []
    alike = [[(each.label, [score.images for score in each.scores]) for each in run.corruptions] for run in runs]
    if any(each != alike[0] for each in alike):
        return []
    return [summarise([run.corruptions[place] for run in runs]) for place in range(len(runs[0].corruptions))]


def _by_severity(summary: CorruptionSummary) -> list[tuple[int, Rate]]:
    return list(zip(summary.severities, summary.by_severity, strict=True)) if len(summary.severities) > 1 else []
