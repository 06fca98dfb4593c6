"""robench transfer: how often images made on one network fool another."""

from __future__ import annotations

import dataclasses
import json

import click

from robench.cli import options
from robench.cli.output import console, echo, warn
from robench.errors import RobenchError
from robench.storage.location import Location


@click.command()
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@options.format_option(
    "table", "markdown", "latex", "csv", "json", help="How to print it; csv and json have a row for each pair."
)
@options.RESULTS
@options.COLOR
@options.DEBUG
def transfer(run_ids: tuple[str, ...], style: str, results: Location) -> None:
    """Show how often images made on one network fool another.

    Each attack has a matrix: the networks that images were made on are rows, those that saw them columns. The figures
    are success rates: of the images that the target has right, the share that it then has wrong. Without RUN_ID all
    completed runs count; the beginning of a run ID is enough.
    """
    from robench.cli.runs import chosen_runs
    from robench.present.grid import csv_text
    from robench.present.transfer import Pair, matrices, pairs
    from robench.records.shared_store import store_at

    records = [record for record, _ in chosen_runs(results, run_ids)] if run_ids else store_at(results).read(warn)
    found = pairs(records)
    if not found and style != "json":
        raise RobenchError(f"no completed run in {results} has an attack; make one with `robench run`")
    if style == "json":
        echo(json.dumps([dataclasses.asdict(pair) for pair in found], indent=1))
    elif style == "csv":
        names = [field.name for field in dataclasses.fields(Pair)]
        echo(csv_text(names, [tuple(dataclasses.asdict(pair).values()) for pair in found]), nl=False)
    else:
        for number, grid in enumerate(matrices(found)):
            if style == "table":
                echo("\n".join([("\n" if number else "") + grid.title, *grid.notes]))
                console().print(dataclasses.replace(grid, title="", notes=()).to_rich())
            else:
                echo(("\n" if number else "") + (grid.to_latex() if style == "latex" else grid.to_markdown()))
