"""robench compare: two runs, setting by setting and image by image."""

from __future__ import annotations

import dataclasses
import json

import click

from robench.cli.options import COLOR, DEBUG, JSON, RESULTS, console
from robench.errors import SpecError
from robench.storage.location import Location


@click.command()
@click.argument("first", metavar="RUN_ID")
@click.argument("second", metavar="RUN_ID")
@RESULTS
@JSON
@COLOR
@DEBUG
def compare(first: str, second: str, results: Location, as_json: bool, no_color: bool) -> None:
    """Compare two runs: which settings differ, and whether their accuracies do.

    Accuracies are compared image by image with McNemar's test, adjusted for their number (Holm), and the difference has
    a 95 % bootstrap interval.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.evidence.compare import contests, contests_grid, differences, settings_grid

    runs = [run for run, _ in chosen_runs(results, (first, second))]
    if len(runs) < 2:
        raise SpecError(f"{first!r} and {second!r} are the same run, {runs[0].run_id}")
    settings, found = differences(*runs), contests(*runs)
    if as_json:
        content = {"differences": [vars(each) for each in settings], "contests": [dataclasses.asdict(c) for c in found]}
        click.echo(json.dumps(content, indent=1))
        return
    out = console(no_color)
    for name, run in zip("AB", runs, strict=True):
        out.print(f"{name} {run.run_id}  {run.provenance.command}", highlight=False, markup=False, soft_wrap=True)
    for grid in (settings_grid(settings), contests_grid(found)):
        out.print()
        out.print(grid.to_rich() if grid.rows else grid.title)
