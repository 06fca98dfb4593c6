"""robench leaderboard: all records, ranked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robench.cli.options import CACHE, COLOR, DEBUG, PATH, RESULTS, cache_folder, console
from robench.errors import RobenchError, SpecError, nearest
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.leaderboard.rankings import Ranking

FORMATS = ("table", "markdown", "csv", "json", "html")
SHOWN = 200
"""Rows that a person may want to read at once; more are shown if they are asked for."""
FEWEST = 5
"""Rows of a table that are worth a table."""


class Top(click.ParamType[object]):
    """A number of rows, or ``all``."""

    name = "n|all"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``all``."""
        text = str(value)
        if text == "all":
            return text
        if not text.isdecimal() or int(text) < 1:
            self.fail(f"{text!r} is not a number of rows; expected one such as 10, or all", param, ctx)
        return int(text)


@click.command()
@RESULTS
@click.option("--format", "style", default="table", help="table, markdown, csv, json or html.  [default: table]")
@click.option(
    "--sort", default="worst", help="worst, clean, adversarial, drop, trainable or seconds.  [default: worst]"
)
@click.option("--filter", "filters", multiple=True, metavar="FIELD=PATTERN", help="Keep matching rows, as tuner=lora*.")
@click.option(
    "--top",
    type=Top(),
    help="Best rows of each table to show.  [default: all; of more than 200 rows, table and markdown show fewer]",
)
@click.option("--classes", is_flag=True, help="Also the mean accuracy over the classes, and that of the worst class.")
@click.option("--output", type=PATH, metavar="DIR", help="Folder for --format html.  [default: site]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@CACHE
@COLOR
@DEBUG
def leaderboard(
    results: Location,
    style: str,
    sort: str,
    filters: tuple[str, ...],
    top: int | str | None,
    classes: bool,
    output: Path | None,
    as_json: bool,
    cache_dir: Location | None,
    no_color: bool,
) -> None:
    """Rank all records, clean and adversarial, comparable rows together.

    --format html writes a page, with tables to sort and filter, plots, and every run in detail, that needs no network.

    Of 1,000 records and more an index is kept in the cache folder, so that only new ones are read.
    """
    from robench.leaderboard.build import table_of
    from robench.leaderboard.export import csv_fields, csv_pieces, figures_of_ranking, json_pieces
    from robench.leaderboard.index import read_entries
    from robench.leaderboard.rankings import rankings
    from robench.leaderboard.write import to_markdown, to_rich
    from robench.storage.location import local_folder

    style = "json" if as_json else style
    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    if output is not None and style != "html":
        raise SpecError(f"--output {output} is for --format html, not for {style}")
    folder = _brought_here(results)
    with _reading(no_color) as progress:
        entries = read_entries(folder, local_folder(cache_folder(cache_dir)), _warn, progress)
    ranked = rankings(entries, sort=sort, filters=filters)
    if not ranked and style != "json":
        raise RobenchError(f"no completed run in {results} matches; see `robench run --help`")
    kept = [top if isinstance(top, int) else len(ranking.order) for ranking in ranked]
    if style in ("table", "markdown") and top is None:
        kept = _readable(ranked)
    made = (table_of(ranking, rows) for ranking, rows in zip(ranked, kept, strict=True) if rows)
    if style == "json":
        for piece in json_pieces(made):
            click.echo(piece, nl=False)
        click.echo()
    elif style == "csv":
        for piece in csv_pieces(made, csv_fields(map(figures_of_ranking, ranked))):
            click.echo(piece, nl=False)
    elif style == "html":
        _write_page(results, list(made), sort, output or Path("site"))
    elif style == "markdown":
        for number, table in enumerate(made):
            click.echo(("\n" if number else "") + to_markdown([table], classes=classes))
    else:
        out = console(no_color)
        for table in made:
            out.print(to_rich(table, classes=classes))


def _readable(ranked: Sequence[Ranking]) -> list[int]:
    """Return how many rows of each table to show a person, and say what is left out."""
    from robench.leaderboard.build import fitting

    sizes = [len(ranking.order) for ranking in ranked]
    kept = fitting(sizes, SHOWN, FEWEST)
    if kept != sizes:
        tables = f" and {kept.count(0):,} of {len(kept):,} tables" if 0 in kept else ""
        click.echo(
            f"robench: {sum(sizes) - sum(kept):,} of {sum(sizes):,} rows{tables} are not shown; --filter chooses, "
            "--top N shows N rows of each table, and --top all every row",
            err=True,
        )
    return kept


def _brought_here(results: Location) -> Path:
    """Return the folder that has all records: `results` itself, or copies of what is there, up to date."""
    if isinstance(results, Path):
        return results
    from robench.records.shared_store import store_at

    store = store_at(results)
    store.refresh()
    return store.folder


def _write_page(results: Location, tables: list[Any], sort: str, output: Path) -> None:
    from robench.leaderboard.site.pages import pages
    from robench.leaderboard.site.write import write_pages
    from robench.records.shared_store import SharedStore, store_at
    from robench.records.store import read_record

    store = store_at(results)
    shown = sorted({row.run_id for table in tables for row in table.rows})
    records = [read_record(store.folder / f"{run_id}.json") for run_id in shown]
    if isinstance(store, SharedStore):
        store.fetch_samples()
    click.echo(str(write_pages(pages(store.folder, tables, records, sort=sort), output)))


def _warn(message: str) -> None:
    click.echo(f"robench: warning: {message}", err=True)


@contextlib.contextmanager
def _reading(no_color: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows on a terminal how many records are read."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading records"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(no_color, stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, visible=False)
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)
