"""Leaderboard tables for a person to read, in a terminal or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robench.leaderboard.build import Row, Table
from robench.present.grid import github_table, terminal_table
from robench.statistics.intervals import ByClass, Rate

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def caption(table: Table) -> str:
    """Say what the rows of `table` share."""
    precision = f", {table.precision}" if table.precision else ""
    shown = f", the first {len(table.rows):,} of {len(table.rows) + table.more:,} rows" if table.more else ""
    shared = f"{table.dataset}, {table.n_clean:,} {table.split} images ({table.test_fingerprint[:8]})"
    return f"{shared}{precision}{shown}"


def to_rich(table: Table, *, classes: bool = False) -> RichTable:
    """Return a table for a terminal: accuracy, 95 % interval and drop stacked in each cell.

    Args:
        classes: Also the mean accuracy over the classes, and that of the worst.
    """
    from rich.markup import escape

    legend = [f"{column.label}: {column.threat}, n={column.n:,}" for column in table.columns]
    view = terminal_table([caption(table), *legend])
    view.add_column("#", justify="right", no_wrap=True)
    view.add_column("model, tuner", overflow="fold")
    view.add_column(f"clean\nn={table.n_clean}", justify="right", no_wrap=True)
    for column in table.columns:
        name, _, _ = column.label.partition(":")
        norm_and_eps, _, knowledge = column.threat.rpartition(" ")
        header = f"{name}\n{norm_and_eps}\n{knowledge}\nn={column.n}"
        view.add_column(header, justify="right", no_wrap=True)
    if table.worst_eps:
        view.add_column(f"worst\ncase at\n{table.worst_eps}", justify="right", no_wrap=True)
    several_seeds = len({row.seed for row in table.rows}) > 1
    for row in table.rows:
        seed = f", seed {row.seed}" if several_seeds else ""
        cost = f"{row.trainable_parameters:,} trained, {row.seconds:,.0f} s, checks: {row.checks}"
        origin = f", with {escape(', '.join(row.plugins))}" if row.plugins else ""
        name = (
            f"{escape(row.model)}\n[bold]{escape(row.tuner)}[/bold]\n[dim]{cost}\nrun {row.run_id}{seed}{origin}[/dim]"
        )
        cells = [str(row.rank), name, _cell(row.clean)]
        cells += [_cell(rate, drop) for rate, drop in zip(row.attacks, row.drops, strict=True)]
        for number, found in enumerate(row.classes or ()) if classes else ():
            cells[2 + number] += f"\n[dim]macro {found.macro:.1f}\nworst {found.lowest.percent:.1f}[/dim]"
        cells += [_cell(row.worst)] if row.worst else []
        view.add_row(*cells)
    return view


def _cell(rate: Rate, drop: float | None = None) -> str:
    lines = f"[bold]{rate.percent:.1f}[/bold]\n[dim]{rate.low:.1f}-{rate.high:.1f}[/dim]"
    return lines if drop is None else f"{lines}\n[dim]drop {drop:.1f}[/dim]"


def to_markdown(tables: Sequence[Table], *, classes: bool = False) -> str:
    """Return GitHub tables, each under a line that says what its rows share; `classes` as for :func:`to_rich`."""
    parts = []
    for table in tables:
        # The model, the tuner, the verdict of the checks and the run are names; the other columns are figures.
        rows = [_readable(row, classes) for row in table.rows]
        parts += [f"**{caption(table)}**", github_table(_labels(table), rows, left=(1, 2, -2, -1))]
    return "\n\n".join(parts)


def _labels(table: Table) -> list[str]:
    attacks = [f"{column.label} ({column.threat}, n={column.n})" for column in table.columns]
    worst = [f"worst case ({table.worst_eps})"] if table.worst_eps else []
    measured = [f"clean (n={table.n_clean})", *attacks, *worst]
    return ["#", "model", "tuner", *measured, "trained", "seconds", "seed", "checks", "run"]


def _readable(row: Row, classes: bool) -> list[str]:
    accuracies = [_interval(row.clean)]
    accuracies += [f"{_interval(rate)}, drop {drop:.1f}" for rate, drop in zip(row.attacks, row.drops, strict=True)]
    for number, found in enumerate(row.classes or ()) if classes else ():
        accuracies[number] += f", {_classes(found)}"
    worst = [_interval(row.worst)] if row.worst else []
    tuner = f"{row.tuner} (with {', '.join(row.plugins)})" if row.plugins else row.tuner
    end = [f"{row.trainable_parameters:,}", f"{row.seconds:.0f}", str(row.seed), row.checks, row.run_id]
    return [str(row.rank), row.model, tuner, *accuracies, *worst, *end]


def _interval(rate: Rate) -> str:
    return f"{rate.percent:.1f} [{rate.low:.1f}, {rate.high:.1f}]"


def _classes(found: ByClass) -> str:
    return f"macro {found.macro:.1f}, worst class {found.lowest_name} {found.lowest.percent:.1f}"
