"""Write leaderboard tables: for a terminal, as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from robench.leaderboard.build import Row, Table
from robench.leaderboard.rankings import Ranking, has_any, shared
from robench.statistics.intervals import ByClass, Rate

if TYPE_CHECKING:
    from rich.table import Table as RichTable

FORMATS = ("table", "markdown", "csv", "json")


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
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    legend = [f"{column.label}: {column.threat}, n={column.n:,}" for column in table.columns]
    view = RichTable(
        title="\n".join([caption(table), *legend]),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
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


def _flat(table: Table, row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {
        "rank": row.rank,
        "dataset": table.dataset,
        "split": table.split,
        "images": table.test_fingerprint,
        "model": row.model,
        "tuner": row.tuner,
        "seed": row.seed,
        "clean_percent": round(row.clean.percent, 2),
        "clean_low": round(row.clean.low, 2),
        "clean_high": round(row.clean.high, 2),
        "clean_n": row.clean.n,
    }
    for column, rate, drop in zip(table.columns, row.attacks, row.drops, strict=True):
        flat |= {
            f"{column.label}_percent": round(rate.percent, 2),
            f"{column.label}_low": round(rate.low, 2),
            f"{column.label}_high": round(rate.high, 2),
            f"{column.label}_n": rate.n,
            f"{column.label}_drop": round(drop, 2),
        }
    labels = ("clean", *(column.label for column in table.columns))
    for label, found in zip(labels, row.classes or (), strict=False):
        flat |= {
            f"{label}_macro_percent": round(found.macro, 2),
            f"{label}_worst_class": found.lowest_name,
            f"{label}_worst_class_percent": round(found.lowest.percent, 2),
            f"{label}_worst_class_n": found.lowest.n,
        }
    if row.worst:
        flat |= {
            "worst_percent": round(row.worst.percent, 2),
            "worst_low": round(row.worst.low, 2),
            "worst_high": round(row.worst.high, 2),
            "worst_n": row.worst.n,
            "worst_eps": table.worst_eps,
        }
    return flat | {
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "checks": row.checks,
        "plugins": "; ".join(row.plugins),
        "run_id": row.run_id,
    }


def to_markdown(tables: Sequence[Table], *, classes: bool = False) -> str:
    """Return GitHub tables, each under a line that says what its rows share; `classes` as for :func:`to_rich`."""
    from tabulate import tabulate

    return "\n\n".join(
        f"**{caption(table)}**\n\n"
        + tabulate(
            [_readable(row, classes) for row in table.rows],
            headers=_headers(table),
            tablefmt="github",
            disable_numparse=True,
            colalign=("right", "left", "left", *["right"] * (len(_headers(table)) - 5), "left", "left"),
        )
        for table in tables
    )


def _headers(table: Table) -> list[str]:
    attacks = [f"{column.label} ({column.threat}, n={column.n})" for column in table.columns]
    worst = [f"worst case ({table.worst_eps})"] if table.worst_eps else []
    return [
        "#",
        "model",
        "tuner",
        f"clean (n={table.n_clean})",
        *attacks,
        *worst,
        "trained",
        "seconds",
        "seed",
        "checks",
        "run",
    ]


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


def to_csv(tables: Sequence[Table]) -> str:
    """Return all rows under one header; figures that a table lacks are empty."""
    return "".join(csv_pieces(tables, csv_fields(map(figures_of, tables)))) if tables else ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Which figures the rows of a table have, besides those of every row."""

    attacks: tuple[str, ...]
    classes: bool
    worst: bool


def figures_of(table: Table) -> Figures:
    """Return which figures rows of `table` have."""
    return Figures(
        attacks=tuple(column.label for column in table.columns),
        classes=any(row.classes for row in table.rows),
        worst=any(row.worst for row in table.rows),
    )


def figures_of_ranking(ranking: Ranking) -> Figures:
    """Return which figures rows of a table have that is not made yet."""
    return Figures(
        attacks=tuple(label for label, _, _ in shared(ranking)["columns"]),
        classes=has_any(ranking, "macro"),
        worst=has_any(ranking, "worst_n"),
    )


def csv_fields(kinds: Iterable[Figures]) -> list[str]:
    """Return the header of tables that have such figures."""
    fields: dict[str, None] = {}
    for kind in kinds:
        labels = ("clean", *kind.attacks)
        fields |= dict.fromkeys(("rank", "dataset", "split", "images", "model", "tuner", "seed"))
        fields |= {f"clean_{each}": None for each in ("percent", "low", "high", "n")}
        rates = ("percent", "low", "high", "n", "drop")
        fields |= {f"{label}_{each}": None for label in kind.attacks for each in rates}
        classes = ("macro_percent", "worst_class", "worst_class_percent", "worst_class_n") if kind.classes else ()
        fields |= {f"{label}_{each}": None for label in labels for each in classes}
        worst = ("percent", "low", "high", "n", "eps") if kind.worst else ()
        fields |= {f"worst_{each}": None for each in worst}
        fields |= dict.fromkeys(("trainable_parameters", "seconds", "checks", "plugins", "run_id"))
    return list(fields)


def csv_pieces(tables: Iterable[Table], fields: Sequence[str]) -> Iterator[str]:
    """Yield the header, and table by table the rows, so that no more than one table need be there at a time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    places, nothing = {field: place for place, field in enumerate(fields)}, [""] * len(fields)
    for table in tables:
        for row in table.rows:
            line = nothing.copy()  # most of the columns of many tables
            for field, value in _flat(table, row).items():
                line[places[field]] = value
            writer.writerow(line)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def to_json(tables: Iterable[Table]) -> str:
    """Return the tables as JSON, every figure in full."""
    return "".join(json_pieces(tables))


def json_pieces(tables: Iterable[Table]) -> Iterator[str]:
    """Yield what :func:`to_json` returns table by table, a line a row."""
    before = "["
    for table in tables:
        shared = json.dumps(vars(replace(table, rows=())), default=vars)
        rows = ",\n".join(json.dumps(row, default=vars) for row in table.rows)
        yield before + shared.replace('"rows": []', f'"rows": [\n{rows}\n]')
        before = ",\n"
    yield "[]" if before == "[" else "]"
