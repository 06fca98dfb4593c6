"""Write views for a terminal, as Markdown and LaTeX, and for programs as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from robench.leaderboard.text import name_of
from robench.leaderboard.views.view import ACCURACY, Cell, View, ViewColumn
from robench.present.grid import NOTHING, Grid, Heading
from robench.present.harmless import cell as harmless
from robench.records.labels import short_label

FIELDS = ("view", "about", "dataset", "split", "images", "model", "method", "run_id", "kind", "column", "note", "unit")
FIGURES = ("better", "value", "low", "high", "n", "bound")
ARROWS = {"higher": "", "lower": "lower is better", "": "neither is better"}


def to_grid(view: View, *, intervals: bool = True) -> Grid:
    """Return a view as a table of text: a method a row, or a figure a row if there are many."""
    headings = [Heading(label="method")]
    for column in view.columns:
        unit = () if column.unit == ACCURACY else (column.unit,)
        arrow = (ARROWS[column.better],) if ARROWS[column.better] else ()
        note = (column.note,) if column.note else ()
        headings.append(Heading(label=short_label(column.label), details=(*note, *unit, *arrow)))
    rows = tuple(
        (
            name_of(view.table, row),
            *(_text(column, each, intervals) for column, each in zip(view.columns, cells, strict=True)),
        )
        for row, cells in zip(view.table.rows, view.cells, strict=True)
    )
    title = f"{view.table.caption}: {view.about}"
    return Grid(title=title, notes=view.notes, headings=tuple(headings), rows=rows)


def _text(column: ViewColumn, found: Cell | None, intervals: bool) -> str:
    if found is None:
        return NOTHING
    value, low, high = (f"{each:.{column.places}f}" for each in (found.value, found.low, found.high))
    return f"{'<= ' if found.bound else ''}{value}" + (f" {low}-{high}" if intervals else "")


def rows_of(view: View) -> Iterator[dict[str, Any]]:
    """Yield a line for each figure of a view."""
    table = view.table
    for row, cells in zip(table.rows, view.cells, strict=True):
        about = (view.name, view.about, table.dataset, table.split, table.test_fingerprint, row.model, row.name)
        runs = " ".join(run.run_id for run in row.runs)
        for column, found in zip(view.columns, cells, strict=True):
            if found is not None:
                named = (*about, runs, column.kind, column.label, column.note, column.unit)
                figures = (column.better, found.value, found.low, found.high, found.n, found.bound)
                yield dict(zip((*FIELDS, *FIGURES), (*named, *figures), strict=True))


def to_csv(views: Iterable[View]) -> Iterator[str]:
    """Yield the header, and then a line for each figure: views have different columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*FIELDS, *FIGURES))
    for view in views:
        writer.writerows([harmless(value) for value in line.values()] for line in rows_of(view))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def to_json(views: Iterable[View]) -> str:
    """Return a list of views with their notes, and with a line for each figure."""
    content = [
        {
            "view": view.name,
            "about": view.about,
            "table": view.table.caption,
            "notes": view.notes,
            "figures": list(rows_of(view)),
        }
        for view in views
    ]
    return json.dumps(content, indent=1)
