"""robench report: runs class by class and with pictures, to be read or handed on."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli.options import DEBUG, PATH, RESULTS
from robench.errors import SpecError, nearest
from robench.storage.location import Location


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--output",
    type=PATH,
    metavar="DIR",
    default=Path("report"),
    show_default=True,
    help="Folder.",
)
@click.option("--format", "style", default="both", help="html, markdown or both.  [default: both]")
@RESULTS
@DEBUG
def report(run_ids: tuple[str, ...], output: Path, style: str, results: Location) -> None:
    """Write a report of runs: each class, confusion matrices, curves, samples, parameters.

    A beginning of the id is enough. Several runs are compared first.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.present.report.chapters import chapter, comparison
    from robench.present.report.write import FORMATS, write_report

    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    runs = chosen_runs(results, run_ids)
    chapters = [comparison(runs)] if len(runs) > 1 else []
    chapters += [chapter(result, samples) for result, samples in runs]
    for file in write_report(chapters, output, style):
        click.echo(str(file))
