"""robench show and report: recorded runs as text, figures and a report."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli import options
from robench.cli.output import echo, say
from robench.errors import DataError
from robench.storage.location import Location


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--output", type=options.PATH, metavar="DIR", help="Draw figures into this folder.")
@click.option("--images", "every", is_flag=True, help="Print a CSV of every image instead: file, class, predictions.")
@options.format_option("png", "svg", "pdf", help="Format of figures.")
@options.RESULTS
@options.JSON
@options.COLOR
@options.DEBUG
def show(
    run_ids: tuple[str, ...], output: Path | None, every: bool, style: str, results: Location, as_json: bool
) -> None:
    """Show everything in a record, and draw its figures.

    The beginning of a run ID is enough. Several runs also give a transfer matrix.
    """
    from robench.cli.runs import chosen_runs
    from robench.present.figures.catalogue import catalogue, write_figures
    from robench.present.show import describe_run

    runs = chosen_runs(results, run_ids)
    if every:
        from robench.present.per_image import per_image

        for record, samples in runs:
            if samples is None:
                raise DataError(f"run {record.run_id} has no samples beside its record, so its answers are not known")
            echo(per_image(record, samples))
        return
    if as_json:
        for record, _ in runs:
            echo(record.model_dump_json(indent=1))
    else:
        echo("\n\n".join(describe_run(record) for record, _ in runs))
    if output is not None:
        written, skipped = write_figures(runs, output, style)
        for name, reason in skipped.items():
            say(f"no figure {name}: {reason}")
        for file in written:
            echo(str(file), err=as_json)
    elif not as_json:
        names = [
            name for record, samples in runs for name, draw in catalogue(record, samples).items() if callable(draw)
        ]
        echo(f"\nfigures: {', '.join(dict.fromkeys(names)) or 'none'} (--output DIR draws them)")


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--output", type=options.PATH, metavar="DIR", default=Path("report"), help="Folder of the report.")
@options.format_option("both", "html", "markdown", help="Format of the report.")
@options.RESULTS
@options.DEBUG
def report(run_ids: tuple[str, ...], output: Path, style: str, results: Location) -> None:
    """Write a report of runs with tables and figures.

    It has the accuracy of each class, confusion matrices, training curves, sample images and parameters. The beginning
    of a run ID is enough. Several runs are compared first.
    """
    from robench.cli.runs import chosen_runs
    from robench.present.report.chapter import chapter
    from robench.present.report.comparison import comparison
    from robench.present.report.write import write_report

    runs = chosen_runs(results, run_ids)
    chapters = [comparison(runs)] if len(runs) > 1 else []
    chapters += [chapter(result, samples) for result, samples in runs]
    for file in write_report(chapters, output, style):
        echo(str(file))
