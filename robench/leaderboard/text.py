"""Write leaderboard tables for people: for a terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.leaderboard.tables import Row, Table
from robench.present.grid import MOST_COLUMNS, terminal_table
from robench.present.harmless import markdown
from robench.statistics.intervals import Rate

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text


def to_rich(table: Table, *, classes: bool = False) -> RichTable:
    """Return a table for a terminal: accuracy, 95 % interval and drop are stacked in each cell.

    Args:
        classes: Also show the mean accuracy over the classes, and that of the worst class.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    if len(table.columns) > MOST_COLUMNS:
        return _long(table)
    legend = [f"{column.label}: {column.threat}, n={column.n:,}" for column in table.columns]
    view = RichTable(
        title=Text("\n".join([table.caption, *legend])),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    view.add_column("#", justify="right", no_wrap=True)
    view.add_column("model, tuner", overflow="fold")
    headers = [f"clean\nn={table.n_clean}"]
    for column in table.columns:
        norm_and_eps, _, knowledge = column.threat.rpartition(" ")
        headers.append(f"{column.label.partition(':')[0]}\n{norm_and_eps}\n{knowledge}\nn={column.n}")
    headers += [f"worst\ncase at\n{table.worst_eps}"] if table.worst_eps else []
    for header in headers:
        view.add_column(Text(header), justify="right", no_wrap=True)
    several_seeds = len({row.seed for row in table.rows}) > 1
    for row in table.rows:
        seed = f", seed {row.seed}" if several_seeds else ""
        cost = f"{row.trainable_parameters:,} trained, {row.seconds:,.0f} s, checks: {row.checks}"
        origin = f", with {', '.join(row.plugins)}" if row.plugins else ""
        about = f"\n{cost}\nrun {row.run_id}{seed}{origin}"
        name = Text.assemble(f"{row.model}\n", (row.tuner, "bold"), (about, "dim"))
        cells = [_cell(row.clean), *(_cell(rate, drop) for rate, drop in zip(row.attacks, row.drops, strict=True))]
        for number, found in enumerate(row.classes or ()) if classes else ():
            cells[number].append(f"\nmacro {found.macro:.1f}\nworst {found.lowest.percent:.1f}", "dim")
        view.add_row(str(row.rank), name, *cells, *([_cell(row.worst)] if row.worst else []))
    return view


def _long(table: Table) -> RichTable:
    """Return a table with a line for each attack, for more attacks than a terminal has columns for."""
    from rich.text import Text

    from robench.records.labels import short_label  # here, as an index is read without a single record

    view = terminal_table([table.caption])
    for header in ("#", "model, tuner", "attack", "threat", "n", "%", "95 %", "drop"):
        view.add_column(header, justify="right" if header in ("#", "n", "%", "95 %", "drop") else "left")
    for row in table.rows:
        name = Text.assemble(
            f"{short_label(row.model)}\n", (short_label(row.tuner), "bold"), (f"\n{row.run_id}", "dim")
        )
        shown: list[tuple[str, str, Rate, str]] = [("clean", "", row.clean, "")]
        shown += [("worst case", f"up to {table.worst_eps}", row.worst, "")] if row.worst else []
        for column, rate, drop in zip(table.columns, row.attacks, row.drops, strict=True):
            shown.append((short_label(column.label), column.threat, rate, f"{drop:.1f}"))
        view.add_row(
            str(row.rank),
            name,
            "\n".join(label for label, _, _, _ in shown),
            "\n".join(threat for _, threat, _, _ in shown),
            "\n".join(str(rate.n) for _, _, rate, _ in shown),
            "\n".join(f"{rate.percent:.1f}" for _, _, rate, _ in shown),
            "\n".join(f"{rate.low:.1f}-{rate.high:.1f}" for _, _, rate, _ in shown),
            "\n".join(fall for _, _, _, fall in shown),
        )
    return view


def _cell(rate: Rate, drop: float | None = None) -> Text:
    from rich.text import Text

    fall = "" if drop is None else f"\ndrop {drop:.1f}"
    return Text.assemble((f"{rate.percent:.1f}", "bold"), (f"\n{rate.low:.1f}-{rate.high:.1f}{fall}", "dim"))


def to_markdown(table: Table, *, classes: bool = False) -> str:
    """Return a GitHub table under a line that says what its rows share; `classes` as for :func:`to_rich`."""
    from tabulate import tabulate

    attacks = [f"{column.label} ({column.threat}, n={column.n})" for column in table.columns]
    worst = [f"worst case ({table.worst_eps})"] if table.worst_eps else []
    accuracies = [f"clean (n={table.n_clean})", *attacks, *worst]
    text = tabulate(
        [[markdown(each) for each in _markdown_row(row, classes)] for row in table.rows],
        headers=["#", "model", "tuner", *map(markdown, accuracies), "trained", "seconds", "seed", "checks", "run"],
        tablefmt="github",
        disable_numparse=True,
        colalign=("right", "left", "left", *["right"] * len(accuracies), "right", "right", "right", "left", "left"),
    )
    return f"**{markdown(table.caption)}**\n\n{text}"


def _markdown_row(row: Row, classes: bool) -> list[str]:
    accuracies = [_interval(row.clean)]
    accuracies += [f"{_interval(rate)}, drop {drop:.1f}" for rate, drop in zip(row.attacks, row.drops, strict=True)]
    for number, found in enumerate(row.classes or ()) if classes else ():
        accuracies[number] += f", macro {found.macro:.1f}, worst class {found.lowest_name} {found.lowest.percent:.1f}"
    accuracies += [_interval(row.worst)] if row.worst else []
    tuner = f"{row.tuner} (with {', '.join(row.plugins)})" if row.plugins else row.tuner
    cost = [f"{row.trainable_parameters:,}", f"{row.seconds:.0f}", str(row.seed)]
    return [str(row.rank), row.model, tuner, *accuracies, *cost, row.checks, row.run_id]


def _interval(rate: Rate) -> str:
    return f"{rate.percent:.1f} [{rate.low:.1f}, {rate.high:.1f}]"
