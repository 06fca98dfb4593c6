"""All threats in one row, and the attacks of one norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from robench.leaderboard.tables import Table, case_at, no_white_box
from robench.leaderboard.views.calibration import LACKING as NO_CONFIDENCES
from robench.leaderboard.views.calibration import columns_of, figures_of
from robench.leaderboard.views.corruptions import LACKING as NO_CORRUPTIONS
from robench.leaderboard.views.corruptions import summaries
from robench.leaderboard.views.view import Cell, Draft, View, ViewColumn, at_home, lacking
from robench.records.record import RunResult
from robench.statistics.intervals import Rate, mean_rate


def all_threats(table: Table, records: Mapping[str, RunResult]) -> View:
    """Return a view with a column for each threat: clean, worst cases, certified, corruptions, shifts, calibration."""
    draft = Draft(rows=len(table.rows))
    _accuracies(draft, table, lambda norm: True, attacks=False)
    for place, row in enumerate(table.rows):
        runs = at_home(table, row, records)
        for level, rate in _certified(runs):
            column = ViewColumn(label=f"certified {level}", kind="certified", note=f"n={rate.n:,}")
            draft.put(place, ("certified", level, rate.n), column, Cell.of(rate))
        for summary in summaries(runs):
            note = f"mean of {len(summary.by_name)} at {len(summary.severities)} severities, n={summary.mean.n:,}"
            column = ViewColumn(label=f"corruptions {summary.label}", kind="corruption", note=note)
            draft.put(place, (summary.label, summary.images), column, Cell.of(summary.mean))
        for key, label, rate in _shifts(runs):
            column = ViewColumn(label=f"clean on {label}", kind="shift", note=f"n={rate.n:,}")
            draft.put(place, key, column, Cell.of(rate))
        if figures := figures_of(table, row, records):
            _, (column, cell), *_ = columns_of(figures["clean"])
            draft.put(place, "calibration", column, cell)
    # Corrupted are the images of a run's own dataset; a table of another has none to miss.
    own = any(at_home(table, row, records) for row in table.rows)
    notes = [
        *(lacking(draft, "corruption", NO_CORRUPTIONS) if own else ()),
        *lacking(draft, "calibration", NO_CONFIDENCES),
    ]
    return draft.view("all", table, "every threat, a method a row", notes)


def one_norm(name: str, table: Table) -> View:
    """Return a view of clean accuracy, and of the attacks and worst cases of a norm, such as ``linf``."""
    draft = Draft(rows=len(table.rows))
    _accuracies(draft, table, lambda norm: norm.lower() == name, attacks=True)
    return draft.view(name, table, f"attacks in {name}")


def _accuracies(draft: Draft, table: Table, wanted: Callable[[str], bool], *, attacks: bool) -> None:
    """Put clean accuracy, and that under attacks in the norms that are `wanted`, into a draft."""
    for place, row in enumerate(table.rows):
        draft.put(
            place, "clean", ViewColumn(label="clean", kind="clean", note=f"n={table.n_clean:,}"), Cell.of(row.clean)
        )
        for number, (ball, rate) in enumerate(zip(table.balls, row.worst, strict=True)):
            if wanted(ball.norm):
                why = f", {no_white_box(ball)}" if no_white_box(ball) else ""
                column = ViewColumn(label=case_at(ball), kind="worst case", note=f"n={ball.n:,}{why}")
                draft.put(place, ("worst", number), column, Cell.of(rate, bound=not ball.measured))
        for number, (attack, rate) in enumerate(zip(table.columns, row.attacks, strict=True)):
            if attacks and wanted(attack.threat.partition(" ")[0]):
                column = ViewColumn(label=attack.label, kind="attack", note=f"{attack.threat}, n={attack.n:,}")
                draft.put(place, ("attack", number), column, Cell.of(rate))


def _certified(runs: Sequence[RunResult]) -> Iterator[tuple[str, Rate]]:
    for place, first in enumerate(runs[0].certified if runs else ()):
        level = f"{first.norm} {first.eps}"
        same = [run.certified[place] for run in runs if len(run.certified) > place]
        if len(same) == len(runs) and all(
            (each.norm, each.eps, each.n) == (first.norm, first.eps, first.n) for each in same
        ):
            yield level, mean_rate(tuple(each.correct for each in same), first.n)


def _shifts(runs: Sequence[RunResult]) -> Iterator[tuple[Any, str, Rate]]:
    """Yield the clean accuracy on each other dataset that all runs were scored on."""
    for place, first in enumerate(runs[0].elsewhere if runs else ()):
        key = (first.dataset.label, first.data.test_fingerprint, first.clean.n)
        same = [run.elsewhere[place] for run in runs if len(run.elsewhere) > place]
        if [(each.dataset.label, each.data.test_fingerprint, each.clean.n) for each in same] == [key] * len(runs):
            yield key, first.dataset.label, mean_rate(tuple(each.clean.correct for each in same), first.clean.n)
