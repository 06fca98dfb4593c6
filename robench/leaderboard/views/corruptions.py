"""Accuracy on corrupted images: the mean, by severity, and of each corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robench.leaderboard.tables import Table
from robench.leaderboard.views.view import Cell, Draft, View, ViewColumn, at_home, lacking
from robench.records.record import RunResult
from robench.statistics.corruptions import CorruptionSummary, relative_error, summarise
from robench.statistics.intervals import Rate

LACKING = "no scores on corrupted images; --corruption common makes them"


MCE = "%, error relative to {}"


def corruptions(table: Table, records: Mapping[str, RunResult], reference: RunResult | None = None) -> View:
    """Return a view of the corruptions of a table; scores on other corrupted images have other columns.

    Args:
        reference: A run that the errors are divided by, for a column ``mCE``.
    """
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
        if reference is not None and row:
            _put_relative(draft, place, at_home(table, table.rows[place], records), reference)
    about = f"accuracy on corrupted images, without an adversary{': ' if labels else ''}{', '.join(labels)}"
    notes = lacking(draft, "corruption", LACKING)
    if reference is not None:
        why = f"no mCE, because it needs scores on the corrupted images of {reference.run_id}, and errors of this run"
        notes += lacking(draft, "mce", why)
    return draft.view("corruptions", table, about, notes)


def _put_relative(draft: Draft, place: int, runs: Sequence[RunResult], reference: RunResult) -> None:
    for at, first in enumerate(runs[0].corruptions):
        for usual in reference.corruptions:
            found = relative_error([run.corruptions[at] for run in runs], usual)
            if found is not None:
                named = f" of {first.label}" if len(reference.corruptions) > 1 else ""
                unit = MCE.format(reference.run_id)
                column = ViewColumn(label=f"mCE{named}", kind="mce", unit=unit, better="lower", note=f"n={found.n:,}")
                draft.put(place, ("mCE", first.label), column, Cell.of(found))


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
