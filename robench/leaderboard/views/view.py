"""What a view is: figures of the methods of a table, in columns of one kind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from robench.leaderboard.methods import Row
from robench.leaderboard.tables import Table
from robench.records.record import RunResult
from robench.statistics.intervals import Rate

ACCURACY = "accuracy, %"
"""What most columns hold, and all that one plot may show."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure with its 95 % interval, on n images.

    Attributes:
        bound: Whether it is only an upper bound, because no white-box attack was made.
    """

    value: float
    low: float
    high: float
    n: int
    bound: bool = False

    @classmethod
    def of(cls, rate: Rate, *, bound: bool = False) -> Cell:
        """Return the cell of an accuracy."""
        return cls(value=rate.percent, low=rate.low, high=rate.high, n=rate.n, bound=bound)


@dataclass(frozen=True, kw_only=True)
class ViewColumn:
    """What a column holds.

    Attributes:
        kind: The kind of threat: clean, attack, worst case, certified, corruption, mce, shift or calibration.
        unit: Such as ``accuracy, %``. Columns of different units cannot be compared.
        better: ``higher``, ``lower``, or empty if neither is.
        places: Decimals that are shown.
        note: What its figures rest on.
    """

    label: str
    kind: str
    unit: str = ACCURACY
    better: str = "higher"
    places: int = 1
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class View:
    """A view of a table.

    Attributes:
        name: As typed after ``--view``.
        table: The table whose rows it shows.
        about: What it shows of them, such as ``calibration under pgd``.
        cells: For each row of the table, a figure for each column; None where the method has none.
        notes: Lines to be read with it.
    """

    name: str
    table: Table
    about: str
    columns: tuple[ViewColumn, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass
class Draft:
    """Columns in the order in which they are first met, and the figures of each row."""

    rows: int
    columns: dict[Any, ViewColumn] = field(default_factory=dict)
    figures: dict[Any, list[Cell | None]] = field(default_factory=dict)

    def put(self, row: int, key: Any, column: ViewColumn, cell: Cell) -> None:
        """Put a figure into a column; columns of other images or settings have another key."""
        self.columns.setdefault(key, column)
        self.figures.setdefault(key, [None] * self.rows)[row] = cell

    def view(self, name: str, table: Table, about: str, notes: Sequence[str] = ()) -> View:
        """Return the view with the columns of one kind side by side."""
        kinds = list(dict.fromkeys(column.kind for column in self.columns.values()))
        keys = sorted(self.columns, key=lambda key: kinds.index(self.columns[key].kind))
        cells = zip(*(self.figures[key] for key in keys), strict=True) if keys else [()] * self.rows
        order = f"Rows stand in the order of the leaderboard, by {table.ranked_by}; no figure here ranks them."
        return View(
            name=name,
            table=table,
            about=about,
            columns=tuple(self.columns[key] for key in keys),
            cells=tuple(cells),
            notes=(order, *notes),
        )


def at_home(table: Table, row: Row, records: Mapping[str, RunResult]) -> list[RunResult]:
    """Return the records of a row if the table is of their own dataset, and not of another that they scored."""
    runs = [records[run.run_id] for run in row.runs]
    return runs if all(run.data and run.data.test_fingerprint == table.test_fingerprint for run in runs) else []


def lacking(draft: Draft, kind: str, why: str) -> list[str]:
    """Return a line on the rows that have no figure of a kind; none if all have one."""
    have = [figures for key, figures in draft.figures.items() if draft.columns[key].kind == kind]
    without = sum(not any(figures[row] for figures in have) for row in range(draft.rows))
    return [f"{without} of {draft.rows} methods: {why}."] if without else []
