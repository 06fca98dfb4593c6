"""What ``robench leaderboard --view`` prints and draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from robench.cli.output import console, echo, say
from robench.errors import RobenchError, SpecError
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.leaderboard.tables import Table
    from robench.records.record import RunResult

PLOTS = (".svg", ".png", ".pdf")


def check_options(view: str, plot: Path | None, style: str, classes: bool, reference: str | None) -> None:
    """Refuse options that contradict each other, before records are read."""
    if reference is not None and view != "corruptions" and style != "html":
        raise SpecError(f"--reference {reference} is for --view corruptions and for --format html, not for {view}")
    if plot is not None and view != "all":
        raise SpecError(f"--plot {plot} draws --view all, not {view}")
    if plot is not None and plot.suffix not in PLOTS:
        raise SpecError(f"--plot {plot}: expected a name that ends in {', '.join(PLOTS)}")
    if view != "attacks" and (style == "html" or classes):
        other = "--format html, whose page has every view" if style == "html" else "--classes"
        raise SpecError(f"--view {view} does not go with {other}")


def print_views(
    results: Location, tables: list[Table], name: str, style: str, plot: Path | None, reference: str | None
) -> None:
    """Print a view of each table, and draw it if that is asked for."""
    from robench.leaderboard.views.choose import views
    from robench.leaderboard.views.write import to_csv, to_grid, to_json

    records = records_of(results, tables)
    usual = reference_run(results, reference)
    found = [view for table in tables for view in views(name, table, records, usual)]
    if plot is not None and found:
        from robench.leaderboard.views.profile import profile
        from robench.present.figures.catalogue import DPI, save

        largest = max(found, key=lambda view: len(view.table.rows))
        try:
            save(lambda: profile(largest), plot, DPI)
        except OSError as error:
            raise RobenchError(f"cannot write {plot}: {error.strerror or error}") from None
        say(f"drawn: {plot}")
    if style == "csv":
        for piece in to_csv(found):
            echo(piece, nl=False)
    elif style == "json":
        echo(to_json(found))
    else:
        out = console()
        for number, view in enumerate(found):
            grid = to_grid(view, intervals=style != "latex")
            if style == "table" and not view.columns:
                echo("\n".join((grid.title, *grid.notes, "")))  # a table without columns would be as narrow as names
            elif style == "table":
                out.print(grid.to_rich())
            else:
                echo(("\n" if number else "") + (grid.to_latex() if style == "latex" else grid.to_markdown()))


def reference_run(results: Location, name: str | None) -> RunResult | None:
    """Return the run that errors on corrupted images are divided by; None if none is named.

    Raises:
        SpecError: It has no scores on corrupted images, or there is no such run.
    """
    from robench.cli.runs import chosen_runs

    if name is None:
        return None
    ((run, _),) = chosen_runs(results, [name])
    if not run.corruptions:
        raise SpecError(f"run {run.run_id} has no scores on corrupted images; name one with them after --reference")
    return run


def records_of(results: Location, tables: list[Table]) -> dict[str, RunResult]:
    """Return the records behind the rows of tables, by run ID."""
    from robench.records.shared_store import store_at
    from robench.records.store import read_record

    folder = store_at(results).folder
    shown = sorted({run.run_id for table in tables for row in table.rows for run in row.runs})
    return {run_id: read_record(folder / f"{run_id}.json") for run_id in shown}
