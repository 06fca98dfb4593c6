"""robench show: one run in words and figures."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli.options import COLOR, DEBUG, JSON, PATH, RESULTS, console
from robench.errors import SpecError, nearest
from robench.storage.location import Location


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--output", type=PATH, metavar="DIR", help="Draw figures into this folder.")
@click.option("--format", "style", default="png", help="Format of figures: png, svg or pdf.  [default: png]")
@RESULTS
@JSON
@COLOR
@DEBUG
def show(
    run_ids: tuple[str, ...], output: Path | None, style: str, results: Location, as_json: bool, no_color: bool
) -> None:
    """Show all that a record says, and draw its figures.

    A beginning of the id is enough. Several runs together give a transfer matrix too.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.present.figures.catalogue import FORMATS, catalogue, write_figures
    from robench.present.show import describe_run

    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    chosen = chosen_runs(results, run_ids)
    if as_json:
        for record, _ in chosen:
            click.echo(record.model_dump_json(indent=1))
    else:
        text = "\n\n".join(describe_run(record) for record, _ in chosen)
        console(no_color).print(text, highlight=False, markup=False, soft_wrap=True)
    if output is not None:
        written, skipped = write_figures(chosen, output, style)
        for name, reason in skipped.items():
            click.echo(f"robench: no figure {name}: {reason}", err=True)
        for file in written:
            click.echo(str(file), err=as_json)
    elif not as_json:
        names = [
            name for record, samples in chosen for name, draw in catalogue(record, samples).items() if callable(draw)
        ]
        click.echo(f"\nfigures: {', '.join(dict.fromkeys(names)) or 'none'} (--output DIR draws them)")
