"""robench bench: how fast, against whom."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli.options import COLOR, DEBUG, JSON, console
from robench.errors import SpecError, nearest
from robench.registry.registry import discover

if TYPE_CHECKING:
    from robench.bench.report import Report


@click.command()
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--repeats", type=click.IntRange(min=1), help="Turns of each side.  [default: 5, or 1 of a study]")
@click.option("--quick", is_flag=True, help="Only see that it works; the figures mean nothing.")
@click.option("--train-size", type=click.IntRange(min=1), default=2000, show_default=True, help="Of the study.")
@click.option("--test-size", type=click.IntRange(min=1), default=1000, show_default=True, help="Of the study.")
@click.option("--whole", is_flag=True, help="Run the study's slowest script to its end, for hours, not in part.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write all there is to send, as JSON.")
@click.option(
    "--from",
    "written",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show what --output wrote.",
)
@click.option("--format", "style", default="table", help="table, markdown or json.  [default: table]")
@JSON
@COLOR
@DEBUG
def bench(
    items: tuple[str, ...],
    device: str,
    repeats: int | None,
    quick: bool,
    train_size: int,
    test_size: int,
    whole: bool,
    output: Path | None,
    written: Path | None,
    style: str,
    as_json: bool,
    no_color: bool,
) -> None:
    """Measure how fast robench is, as ratios to rivals that do the same work in the same run.

    \b
    startup      CPU seconds until the command line answers
    attack       PGD-7 on ResNet-20 against torchattacks and foolbox, and the machine's limit
    evaluation   clean evaluation of CLIP against bare transformers and CLIP_benchmark's way
    training     LoRA, prompts and last blocks against bare loops
    study        a whole table of methods against two plain scripts (only if named)
    leaderboard  seconds and memory of a table of 100,000 records (only if named)
    memory       peak memory of 1,000, 10,000 and 100,000 images (only if named)

    Nothing is downloaded. Exits with 1 where two sides did not come to the same result.
    """
    from robench.bench import chosen
    from robench.bench.report import read_report
    from robench.present.grid import FORMATS

    style = "json" if as_json else style
    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    wanted = chosen(items)
    if written is not None:
        if items or output is not None:
            raise SpecError(f"--from {written} measures nothing; leave out the items and --output")
        report = read_report(written)
    else:
        if output is not None and not output.absolute().parent.is_dir():
            raise SpecError(f"--output {output}: there is no folder {output.parent}")
        from robench.bench.measuring import measure

        report = measure(
            discover(),
            wanted,
            command=shlex.join(["robench", *sys.argv[1:]]),
            device=device,
            repeats=repeats,
            quick=quick,
            sizes=(train_size, test_size),
            whole=whole,
            say=lambda line: click.echo(f"robench: {line}", err=True),
        )
    if output is not None:
        output.write_text(report.model_dump_json(indent=1, by_alias=True) + "\n")
    _show(report, style, no_color)
    if any(row.same is False for row in report.rows):
        raise click.exceptions.Exit(1)


def _show(report: Report, style: str, no_color: bool) -> None:
    if style == "json":
        click.echo(report.model_dump_json(indent=1, by_alias=True))
    elif style == "markdown":
        click.echo(report.grid().to_markdown())
    else:
        console(no_color).print(report.grid().to_rich())
