"""robench sweep: a comparison from its definition to its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.comparison import Comparison, Done, Engine, carry_out, choose, engine_options
from robench.cli.output import print_grid
from robench.registry.registry import discover
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.checks.certificate import Level


@click.command()
@click.argument("file", type=options.PATH)
@engine_options
@options.format_option("table", "markdown", "latex", "csv", "json", help="How to print the table.")
@click.option(
    "--intervals", is_flag=True, help="Show 95 % intervals over seeds and over images instead of standard deviations."
)
@options.PLUGIN
@options.LOG
@options.CHECKS
@options.DEVICE
@options.COMPILE
@click.option(
    "--save-adapters",
    "adapters",
    type=options.PATH,
    metavar="DIR",
    help="Save what each run trains as DIR/RUN_ID.safetensors; recorded runs are not repeated for it.",
)
@options.RESULTS
@options.CACHE
@click.option("--quiet", is_flag=True, help="Print no progress.")
@options.COLOR
@options.DEBUG
def sweep(
    file: Path,
    jobs: int,
    engine: str,
    cpus: float | None,
    gpus: float | None,
    dry_run: bool,
    style: str,
    intervals: bool,
    loggers: tuple[str, ...],
    checks: Level,
    device: str,
    compiled: bool,
    adapters: Path | None,
    results: Location,
    cache_dir: Location | None,
    quiet: bool,
) -> None:
    """Run a comparison from a TOML file and show its table.

    Only missing runs are carried out, so an interrupted sweep continues where it stopped. The table shows the mean over
    seeds. benchmarks/*.toml are examples. Exits with 1 if a run failed.
    """
    from robench.sweep.local import Bench
    from robench.sweep.plan import plan_sweep, read_sweep
    from robench.sweep.summary import summarise, summary_json
    from robench.sweep.summary_table import summary_grid

    registry = discover()
    given = read_sweep(file)
    where = Engine(name=engine, jobs=jobs, cpus=cpus, gpus=gpus)
    where.check(cache_dir)
    bench = Bench(
        results=results,
        cache_dir=options.cache_folder(cache_dir),
        device=device,
        adapters=adapters,
        checks=checks,
        loggers=loggers,
        compiled=compiled,
    )
    definition, trials, failed = choose(registry, given, bench, where, dry_run=dry_run, quiet=quiet)
    planned = plan_sweep(registry, definition)
    words = ("robench", "sweep", str(file))
    comparison = Comparison(definition=definition, planned=planned, words=words, trials=trials)
    done = carry_out(registry, comparison, bench, where, style, dry_run=dry_run, quiet=quiet)
    if done is None:
        return
    summary = summarise(definition, planned, done.completed)
    print_grid(summary_grid(summary, intervals), summary_json(summary), style)
    Done(completed=done.completed, failed=[*failed, *done.failed]).end()
