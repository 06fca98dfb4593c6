"""How sure methods are, on clean images and under each attack."""

from __future__ import annotations

from collections.abc import Mapping

from robench.leaderboard.methods import Row
from robench.leaderboard.tables import Table
from robench.leaderboard.views.view import Cell, Draft, View, ViewColumn, lacking
from robench.present.show import calibration_figures
from robench.records.labels import attack_label
from robench.records.measurement import measurements
from robench.records.record import RunResult
from robench.statistics.calibration import Calibration, calibrations
from robench.statistics.intervals import rate

LACKING = "no confidences in their records; `robench run ... --force` measures them"


def calibration(table: Table, records: Mapping[str, RunResult]) -> list[View]:
    """Return a view for clean images and one for each attack, or a single empty one if no method has figures."""
    labels = ("clean", *(column.label for column in table.columns))
    drafts = {label: Draft(rows=len(table.rows)) for label in labels}
    for place, row in enumerate(table.rows):
        for label, figures in (figures_of(table, row, records) or {}).items():
            accuracy = Cell.of(rate(round(figures.accuracy * figures.n / 100), figures.n))
            column = ViewColumn(label="accuracy", kind="accuracy", note=f"n={figures.n:,}")
            drafts[label].put(place, column.label, column, accuracy)
            for column, cell in columns_of(figures):
                drafts[label].put(place, column.label, column, cell)
    notes = lacking(drafts["clean"], "calibration", LACKING)
    shown = drafts if drafts["clean"].columns else {"clean": drafts["clean"]}
    return [
        draft.view("calibration", table, f"calibration, {'clean images' if label == 'clean' else label}", notes)
        for label, draft in shown.items()
    ]


def figures_of(table: Table, row: Row, records: Mapping[str, RunResult]) -> dict[str, Calibration] | None:
    """Return the figures of a row for clean images and for each column of its table; None if a record has none."""
    parts = [
        next(each for each in measurements(records[run.run_id]) if each.data.test_fingerprint == table.test_fingerprint)
        for run in row.runs
    ]
    if (found := calibrations(parts)) is None:
        return None
    named = {attack_label(score.label, score.n, table.n_clean): score.label for score in parts[0].attacks}
    return {"clean": found["clean"], **{each.label: found[named[each.label]] for each in table.columns}}


def columns_of(figures: Calibration) -> list[tuple[ViewColumn, Cell]]:
    """Return the columns of calibration figures: the expected error, the one without its bias, and so on."""
    found = []
    for title, figure, places in calibration_figures(figures):
        better = "higher" if title.startswith("selective") else "" if title.startswith("AUROC") else "lower"
        unit = "%" if title.endswith("%") else "nats" if title == "NLL" else "0 to 2"
        label = title.removesuffix(" %")
        column = ViewColumn(
            label=label, kind="calibration", unit=unit, better=better, places=places, note=f"n={figures.n:,}"
        )
        found.append((column, Cell(value=figure.value, low=figure.low, high=figure.high, n=figures.n)))
    return found
