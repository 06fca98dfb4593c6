"""robench leaderboard and serve: all records, ranked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.leaderboard_views import check_options, print_views, records_of, reference_run
from robench.cli.output import console, echo, say, warn
from robench.errors import RobenchError, SpecError
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.leaderboard.ranking import Ranking
    from robench.leaderboard.tables import Table

SHOWN = 200
"""Rows that are shown to a person unless more are asked for."""
FEWEST = 5
"""Rows that each shown table has at least; in a terminal it shows no more unless they are asked for."""
FOLLOW_EVERY = 10.0
"""Seconds between two looks of ``robench serve`` at a place that machines share."""


@click.command()
@options.RESULTS
@options.format_option(
    *("table", "markdown", "latex", "csv", "json", "html"),
    help="How to print the tables; html writes a page into --output.",
)
@click.option(
    "--sort",
    default="worst",
    metavar="KEY",
    help="What to rank by: worst (accuracy in the worst case), clean, adversarial, drop, trainable or seconds.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=PATTERN",
    help="Show only matching rows, as in tuner=lora*; repeatable. Fields are dataset, split, model, tuner, attack, "
    "surrogate, knowledge, seed and run.",
)
@click.option(
    "--top",
    type=options.Count("rows", 10),
    help="How many of the best rows of each table to show.  [default: 5 in a terminal; otherwise all; --runs and "
    "markdown show about 200 rows]",
)
@click.option(
    "--view",
    default="attacks",
    metavar="NAME",
    help="What to show of each method: attacks; all (every threat in one row); one norm, such as linf; corruptions; or "
    "calibration. Only attacks has ranks.",
)
@click.option(
    "--plot",
    type=options.PATH,
    metavar="FILE",
    help="With --view all: also draw it, as .svg, .png or .pdf; of several tables, the largest.",
)
@click.option(
    "--reference",
    metavar="RUN_ID",
    help="With --view corruptions or --format html: also the mean corruption error in percent of that of this run.",
)
@click.option("--runs", is_flag=True, help="Show every run with all its figures, and not one line a method.")
@click.option("--classes", is_flag=True, help="Also show the mean accuracy over classes, and that of the worst class.")
@click.option("--output", type=options.PATH, metavar="DIR", help="Folder for --format html.  [default: site]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@options.CACHE
@options.COLOR
@options.DEBUG
def leaderboard(
    results: Location,
    style: str,
    sort: str,
    filters: tuple[str, ...],
    top: int | str | None,
    view: str,
    plot: Path | None,
    reference: str | None,
    runs: bool,
    classes: bool,
    output: Path | None,
    as_json: bool,
    cache_dir: Location | None,
) -> None:
    """Rank all recorded methods.

    A row is a method: the runs that differ in nothing but their seed. Only comparable runs share a table: the same test
    images, attacks and number of images. A rank such as 3-6 means that chance leaves the ranks 3 to 6 open.

    --format html writes a page that needs no network, with tables to sort and filter, plots, and every run in detail.
    With 1,000 records or more, an index in the cache folder makes the next call faster.
    """
    from robench.leaderboard.export import csv_fields, to_csv, to_json
    from robench.leaderboard.index import read_measurements
    from robench.leaderboard.ranking import rank
    from robench.leaderboard.tables import make_table
    from robench.leaderboard.text import to_latex, to_markdown

    style = "json" if as_json else style
    if output is not None and style != "html":
        raise SpecError(f"--output {output} is for --format html, not for {style}")
    check_options(view, plot, style, classes, reference)
    folder = results if isinstance(results, Path) else _up_to_date_copies(results)
    with _reading() as progress:
        measurements = read_measurements(folder, local_folder(options.cache_folder(cache_dir)), warn, progress)
    rankings = rank(measurements, sort=sort, filters=filters, runs=runs)
    if not rankings and style == "html" and not filters and folder.is_dir():
        warn(f"no completed run in {results}; the page says how to make one")
    elif not rankings and style != "json":
        raise RobenchError(f"no completed run in {results} matches; change --filter, or make one with `robench run`")
    if view != "attacks":
        from robench.leaderboard.views.choose import check_view

        check_view(view, [ball.norm for ranking in rankings for ball in ranking.balls])
    kept = [top if isinstance(top, int) else len(ranking) for ranking in rankings]
    if style in ("table", "markdown") and top is None:
        most = FEWEST if style == "table" and not (runs or classes) else None
        kept = _readable(rankings, most)
    tables = (make_table(ranking, rows) for ranking, rows in zip(rankings, kept, strict=True) if rows)
    if view != "attacks":
        print_views(results, list(tables), view, style, plot, reference)
    elif style == "json":
        for piece in to_json(tables):
            echo(piece, nl=False)
        echo()
    elif style == "csv":
        for piece in to_csv(tables, csv_fields(rankings)):
            echo(piece, nl=False)
    elif style == "html":
        echo(str(_write_page(results, list(tables), output or Path("site"), reference)))
    elif style == "table":
        _print_tables(tables, detailed=runs or classes, classes=classes)
    else:
        write = to_latex if style == "latex" else partial(to_markdown, classes=classes)
        for number, table in enumerate(tables):
            echo(("\n" if number else "") + write(table))


def _print_tables(tables: Iterable[Table], *, detailed: bool, classes: bool) -> None:
    """Print tables in a terminal, and one legend for all."""
    from rich.text import Text

    from robench.leaderboard.detailed import to_detailed
    from robench.leaderboard.text import LEGEND, to_short

    out = console()
    for table in tables:
        out.print(to_detailed(table, out.width, classes=classes) if detailed else to_short(table, out.width))
        out.print()
    out.print(Text("\n".join(LEGEND), style="dim"))


def _readable(rankings: Sequence[Ranking], most: int | None) -> list[int]:
    """Return how many rows of each table to show a person, at most `most`, and say how many are left out."""
    from robench.leaderboard.tables import rows_to_show

    sizes = [len(ranking) for ranking in rankings]
    kept = rows_to_show([size if most is None else min(size, most) for size in sizes], SHOWN, FEWEST)
    if kept != sizes:
        tables = f" and {kept.count(0):,} of {len(kept):,} tables" if 0 in kept else ""
        say(
            f"{sum(sizes) - sum(kept):,} of {sum(sizes):,} rows{tables} are not shown; --filter chooses rows, "
            "--top N shows N rows of each table, --top all shows every row"
        )
    return kept


def _up_to_date_copies(results: SharedFolder) -> Path:
    from robench.records.shared_store import store_at  # here, as an index is read without a single record

    store = store_at(results)
    store.refresh()
    return store.folder


def _write_page(results: Location, tables: list[Table], output: Path, reference: str | None) -> Path:
    from robench.leaderboard.site.pages import pages
    from robench.leaderboard.site.write import write_pages
    from robench.records.shared_store import SharedStore, store_at

    store, usual = store_at(results), reference_run(results, reference)
    records = list(records_of(results, tables).values())
    if isinstance(store, SharedStore):
        store.fetch_samples()
    return write_pages(pages(store.folder, tables, records, reference=usual), output)


@contextlib.contextmanager
def _reading() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows in a terminal how many records are read."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading records"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, visible=False)
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)


@click.command()
@options.RESULTS
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    help="Port to listen on; 0 for a free one.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@options.DEBUG
def serve(results: Location, port: int, host: str) -> None:
    """Show the leaderboard in a browser while runs go on.

    The page shows new records and current runs as they appear. By default, only this machine can open it. Ctrl-C ends
    it.
    """
    import threading

    from robench.leaderboard.site.serve import Live, server
    from robench.records.shared_store import SharedStore, store_at

    store = store_at(results)
    if isinstance(store, SharedStore):
        store.fetch_all()
        threading.Thread(target=store.follow, args=(FOLLOW_EVERY, warn), daemon=True).start()
    with server(Live(store.folder, warn), host, port) as listening:
        echo(f"http://{host}:{listening.server_port}/ shows {results}; Ctrl-C ends it")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("ended")
