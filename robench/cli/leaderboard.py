"""robench leaderboard: all records, ranked."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli.options import COLOR, DEBUG, RESULTS, console
from robench.errors import RobenchError, SpecError, nearest


@click.command()
@RESULTS
@click.option("--format", "style", default="table", help="table, markdown, csv, json or html.  [default: table]")
@click.option(
    "--sort", default="worst", help="worst, clean, adversarial, drop, trainable or seconds.  [default: worst]"
)
@click.option("--filter", "filters", multiple=True, metavar="FIELD=PATTERN", help="Keep matching rows, as tuner=lora*.")
@click.option("--classes", is_flag=True, help="Also the mean accuracy over the classes, and that of the worst class.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder for --format html.  [default: site]"
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@COLOR
@DEBUG
def leaderboard(
    results: Path,
    style: str,
    sort: str,
    filters: tuple[str, ...],
    classes: bool,
    output: Path | None,
    as_json: bool,
    no_color: bool,
) -> None:
    """Rank all records, clean and adversarial, comparable rows together.

    --format html writes a page, with tables to sort and filter, plots, and every run in detail, that needs no network.
    """
    from robench import tables
    from robench.leaderboard import leaderboard as rank
    from robench.store import Store

    style = "json" if as_json else style
    if style not in (*tables.FORMATS, "html"):
        raise SpecError(f"unknown format {style!r}{nearest(style, (*tables.FORMATS, 'html'))}")
    if output is not None and style != "html":
        raise SpecError(f"--output {output} is for --format html, not for {style}")
    records = Store(results).read(lambda message: click.echo(f"robench: warning: {message}", err=True))
    ranked = rank(records, sort=sort, filters=filters)
    if style == "json":
        click.echo(tables.to_json(ranked))
    elif not ranked:
        raise RobenchError(f"no completed run in {results} matches; see `robench run --help`")
    elif style == "html":
        from robench.site.pages import pages
        from robench.site.write import write_pages

        click.echo(str(write_pages(pages(results, ranked, records, sort=sort), output or Path("site"))))
    elif style == "markdown":
        click.echo(tables.to_markdown(ranked, classes=classes))
    elif style == "csv":
        click.echo(tables.to_csv(ranked), nl=False)
    else:
        out = console(no_color)
        for table in ranked:
            out.print(tables.to_rich(table, classes=classes))
