"""Write every figure of a table's rows for a terminal: for ``robench leaderboard --runs`` and the end of a run.

The name and the settings of a row stand above its figures. The figures are columns where they fit, and lines elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from robench.leaderboard.methods import Row
from robench.leaderboard.naming import UNTRAINED
from robench.leaderboard.tables import Table, bound, case_at, certified_at, no_white_box, rank_text, result
from robench.records.labels import short_label
from robench.statistics.intervals import Rate

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

MOST_CASES = 2
"""Worst cases that are shown; of more, only the one that ranks."""
INDENT = 7
"""Characters left of names and figures, where the rank stands."""
Column = list[str]


def to_detailed(table: Table, width: int = 80, *, classes: bool = False) -> RenderableType:
    """Return a table for a terminal of `width` characters with every figure of its rows.

    Args:
        classes: Also show the mean accuracy over the classes, and that of the worst class.
    """
    from rich.console import Group
    from rich.text import Text

    heads = _headings(table)
    rows = [_cells(table, row, classes) for row in table.rows]
    widths = [max(len(line) for lines in column for line in lines) for column in zip(heads, *rows, strict=True)]
    legend = [f"{short_label(column.label)}: {column.threat}, n={column.n:,}" for column in table.columns]
    fits = INDENT + sum(widths) + 2 * len(widths) <= width
    parts: list[RenderableType] = [Text("\n".join([table.caption, *(legend if fits else [])]) + "\n")]
    if fits:
        parts += [*_lines(heads, widths), Text(" " + "─" * (INDENT + sum(widths) + 2 * len(widths) - 1))]
    for row, cells in zip(table.rows, rows, strict=True):
        parts.append(_about(row))
        parts += _lines(cells, widths, strong=True) if fits else [_list(table, row)]
    return Group(*parts, Text(f"\n{result(table)}"))


def _headings(table: Table) -> list[Column]:
    """Return the headings of the columns of figures, each in lines of which the last stands above the figures."""
    heads = [["clean", f"n={table.n_clean}"]]
    for column in table.columns:
        norm_and_eps, _, knowledge = column.threat.rpartition(" ")
        heads.append([column.label.partition(":")[0], norm_and_eps, knowledge, f"n={column.n}"])
    return [
        *heads,
        *(["worst case", f"at {table.balls[place].eps}", f"n={table.balls[place].n}"] for place in _cases(table)),
        *(["certified", f"{norm} {eps}"] for norm, eps in table.certified),
    ]


def _cases(table: Table) -> list[int]:
    """Return the places of the balls whose worst case is shown."""
    everything = list(range(len(table.balls)))
    return everything if len(everything) <= MOST_CASES else [everything[-1] if table.ball is None else table.ball]


def _cells(table: Table, row: Row, classes: bool) -> list[Column]:
    cells = [_cell(row.clean), *(_cell(rate, drop) for rate, drop in zip(row.attacks, row.drops, strict=True))]
    for cell, found in zip(cells, row.classes or (), strict=False):
        cell += [f"macro {found.macro:.1f}", f"worst {found.lowest.percent:.1f}"] if classes else []
    return [
        *cells,
        *(_cell(row.worst[place], figure=bound(table.balls[place], row.worst[place])) for place in _cases(table)),
        *(_proof(row.proved(*radius)) for radius in table.certified),
    ]


def _proof(rate: Rate | None) -> Column:
    return ["-"] if rate is None else [*_cell(rate), f"n={rate.n}"]


def _cell(rate: Rate, drop: float | None = None, figure: str = "") -> Column:
    fall = [] if drop is None else [f"drop {drop:.1f}"]
    return [figure or f"{rate.percent:.1f}", f"{rate.low:.1f}-{rate.high:.1f}", *fall]


def _lines(columns: list[Column], widths: list[int], *, strong: bool = False) -> Iterator[Text]:
    """Yield the lines of some columns; headings, which are not `strong`, stand at the bottom."""
    from rich.text import Text

    height = max(map(len, columns))
    filled = [
        [*column, *[""] * (height - len(column))] if strong else [*[""] * (height - len(column)), *column]
        for column in columns
    ]
    for number, line in enumerate(zip(*filled, strict=True)):
        cells = "".join(f"  {cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        yield Text(" " * INDENT + cells[2:], style="bold" if strong and not number else "dim" if strong else "")


def _about(row: Row) -> Text:
    """Return the lines above the figures: rank, names, settings, cost and run IDs."""
    from rich.text import Text

    several = len(row.runs) > 1
    seeds = f"seeds {', '.join(map(str, row.seeds))}" if several else f"seed {row.seeds[0]}"
    cost = f"{row.trainable_parameters:,} trained, {row.seconds:,.0f} s, checks: {row.checks}, {seeds}"
    origin = f", with {', '.join(row.plugins)}" if row.plugins else ""
    against = "" if row.trained_against == UNTRAINED else f"trained against {row.trained_against}"
    runs = f"run{'s' if several else ''} {', '.join(run.run_id for run in row.runs)}{origin}"
    lines = [f"{short_label(row.model)}, {short_label(row.tuner)}", *([against] if against else []), cost, runs]
    head = f" {rank_text(row):<{INDENT - 2}} "
    return Text.assemble(head, (row.name, "bold"), *((f"\n{' ' * INDENT}{line}", "dim") for line in lines))


def _list(table: Table, row: Row) -> RenderableType:
    """Return the figures of a row as lines, for more than the terminal has columns for."""
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    view = RichTable(box=None, show_header=False, pad_edge=False)
    view.add_column(overflow="fold")
    for _ in range(4):
        view.add_column(justify="right", no_wrap=True)
    shown = [("clean", row.clean, f"{row.clean.percent:.1f}", "")]
    for place in _cases(table):
        ball, rate = table.balls[place], row.worst[place]
        why = f" ({no_white_box(ball)})" if no_white_box(ball) else ""
        shown.append((f"{case_at(ball)}{why}", rate, bound(ball, rate), ""))
    for column, rate, drop in zip(table.columns, row.attacks, row.drops, strict=True):
        shown.append((f"{short_label(column.label)}, {column.threat}", rate, f"{rate.percent:.1f}", f"drop {drop:.1f}"))
    for each in row.certified:
        shown.append((certified_at(each.norm, each.eps), each.rate, f"{each.rate.percent:.1f}", ""))
    for label, rate, figure, fall in shown:
        view.add_row(Text(label), f"n={rate.n:,}", figure, f"{rate.low:.1f}-{rate.high:.1f}", fall)
    return Padding(view, (0, 0, 0, INDENT))
