"""robench bench: how fast robench is, and against whom."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from robench.cli import options
from robench.cli.output import print_grid, say
from robench.errors import SpecError
from robench.registry.registry import discover


@click.command()
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@options.DEVICE
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    help="Turns of each side.  [default: 5; leaderboard 3, study and memory 1]",
)
@click.option("--quick", is_flag=True, help="Only test that the items work; the figures mean nothing.")
@click.option("--train-size", type=click.IntRange(min=1), default=2000, help="Training images of the study.")
@click.option("--test-size", type=click.IntRange(min=1), default=1000, help="Test images of the study.")
@click.option(
    "--whole", is_flag=True, help="Run the study's slowest script to its end (hours) instead of a part of it."
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Also write the result to FILE as JSON."
)
@click.option(
    "--from", "written", type=click.Path(path_type=Path), metavar="FILE", help="Show a result that --output wrote."
)
@options.format_option("table", "markdown", "json")
@options.JSON
@options.COLOR
@options.DEBUG
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
) -> None:
    """Measure how fast robench is, against rivals that do the same work.

    \b
    startup      CPU seconds until the command line answers
    attack       PGD-7 on ResNet-20 against torchattacks and foolbox, and the machine's limit
    whitebox     PGD-10 on CLIPs against torchattacks, foolbox and a plain loop (only if named)
    evaluation   clean evaluation of CLIP against bare transformers and CLIP_benchmark's way
    training     LoRA, prompts and last blocks against bare loops
    study        a whole table of methods against two plain scripts (only if named)
    certificate  the certificate's share of a default run (only if named)
    leaderboard  seconds and memory of a table of 100,000 records (only if named)
    memory       peak memory of 1,000, 10,000 and 100,000 images (only if named)

    Both sides are measured in turns in one run, and figures are ratios. Nothing is downloaded. Exits with 1 if the two
    sides did not come to the same result.
    """
    from robench.bench import items_named
    from robench.bench.report import read_report

    wanted = items_named(items)
    if written is not None:
        if items or output is not None:
            raise SpecError(f"--from {written} measures nothing; leave out the items and --output")
        report = read_report(written)
    else:
        if output is not None and not output.absolute().parent.is_dir():
            raise SpecError(f"--output {output}: there is no folder {output.parent}; make it first")
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
            say=say,
        )
    text = report.model_dump_json(indent=1, by_alias=True)
    if output is not None:
        from robench.storage.whole_file import write_whole

        write_whole(output, f"{text}\n".encode())
    print_grid(report.grid(), text, "json" if as_json else style)
    if any(row.same is False for row in report.rows):
        raise click.exceptions.Exit(1)
