"""robench sweep: a comparison from its definition, start to table."""

from __future__ import annotations

import contextlib
import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robench.cli.options import CACHE, CHECKS, COLOR, COMPILE, DEBUG, LOG, PATH, PLUGIN, RESULTS, cache_folder, console
from robench.errors import SpecError, nearest
from robench.registry.registry import Registry, discover
from robench.storage.location import Location
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.checks.certificate import Level
    from robench.sweep.local import Bench, Outcome
    from robench.sweep.plan import Job


@click.command()
@click.argument("file", type=PATH)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at a time.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="Where runs are carried out: processes here, a Ray cluster, or a script for sbatch, printed.",
)
@click.option("--cpus", type=click.FloatRange(min=0, min_open=True), help="Of a run, with ray or slurm.  [default: 1]")
@click.option("--gpus", type=click.FloatRange(min=0), help="Of a run, with ray or slurm.  [default: 0]")
@click.option("--dry-run", is_flag=True, help="Show what is missing and what it costs, and stop.")
@click.option("--format", "style", default="table", help="table, markdown or json.  [default: table]")
@click.option(
    "--intervals", is_flag=True, help="Show 95 % intervals, over seeds and over images, in place of deviations."
)
@PLUGIN
@LOG
@CHECKS
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@COMPILE
@click.option(
    "--save-adapters",
    "adapters",
    type=PATH,
    metavar="DIR",
    help="Save what each run trains as DIR/RUN_ID.safetensors; recorded runs are not repeated for it.",
)
@RESULTS
@CACHE
@click.option("--quiet", is_flag=True, help="Print no progress.")
@COLOR
@DEBUG
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
    no_color: bool,
) -> None:
    """Run what is missing of a comparison, and show its mean over seeds; see benchmarks/*.toml."""
    from robench.present.grid import FORMATS
    from robench.records.shared_store import store_at
    from robench.sweep.cost import cost_grid, cost_json, sweep_cost
    from robench.sweep.local import Bench, describe
    from robench.sweep.plan import latest_completed, plan_sweep, read_sweep
    from robench.sweep.summary import summarise, summary_grid, summary_json

    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    registry = discover()
    definition = read_sweep(file)
    planned = plan_sweep(registry, definition)
    if engine == "local" and (cpus, gpus) != (None, None):
        raise SpecError("--cpus and --gpus are for --engine ray and slurm; here, runs share the CPU by --jobs")
    cpus, gpus = cpus or 1.0, gpus or 0.0
    if engine == "slurm" and cache_dir is None:
        raise SpecError("--engine slurm needs --cache-dir DIR, a folder or a URL that all nodes share")
    bench = Bench(
        results=results,
        cache_dir=cache_folder(cache_dir),
        device=device,
        adapters=adapters,
        checks=checks,
        loggers=loggers,
        compiled=compiled,
    )
    if engine == "slurm":
        click.echo(_slurm(file, bench, jobs, cpus, gpus), nl=False)
        return
    if engine == "ray" and jobs > 1:
        raise SpecError(f"--jobs {jobs} is for processes here; Ray runs as many at a time as --cpus and --gpus allow")
    store = store_at(results)
    completed = latest_completed(store.read(lambda message: _say(f"warning: {message}")) if results.is_dir() else [])
    missing = [job for job in planned if job.run_id not in completed]
    failed: list[Outcome] = []
    if missing and not dry_run:
        failed = _run(registry, missing, bench, jobs, (cpus, gpus) if engine == "ray" else None, quiet, no_color)
        completed = latest_completed(store.read(lambda message: None))
    if dry_run:
        costs = sweep_cost(planned, completed)
        text, grid = cost_json(definition, costs), cost_grid(definition, costs)
    else:
        summary = summarise(definition, planned, completed)
        text, grid = summary_json(summary), summary_grid(summary, intervals)
    if style == "json":
        click.echo(text)
    elif style == "markdown":
        click.echo(grid.to_markdown())
    else:
        console(no_color).print(grid.to_rich())
    if failed:
        for outcome in failed:
            _say(describe(outcome))
        raise click.exceptions.Exit(1)


def _slurm(file: Path, bench: Bench, tasks: int, cpus: float, gpus: float) -> str:
    """Return the script of an array job of `tasks` sweeps."""
    from robench.sweep.slurm import slurm_script

    results, cache = (
        each.url if isinstance(each, SharedFolder) else str(each) for each in (bench.results, bench.cache_dir)
    )
    command = ["robench", "sweep", str(file), "--results", results, "--cache-dir", cache]
    command += ["--device", bench.device, "--checks", bench.checks, "--quiet"]
    command += ["--compile"] if bench.compiled else []
    command += ["--save-adapters", str(bench.adapters)] if bench.adapters else []
    command += [word for logger in bench.loggers for word in ("--log", logger)]
    return slurm_script(command, tasks=tasks, cpus=math.ceil(cpus), gpus=math.ceil(gpus))


def _run(
    registry: Registry,
    missing: list[Job],
    bench: Bench,
    jobs: int,
    on_ray: tuple[float, float] | None,
    quiet: bool,
    no_color: bool,
) -> list[Outcome]:
    """Run what is missing and return what failed."""
    from robench.sweep.local import run_sweep

    log = console(no_color, stderr=True)
    bars: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    engine = None
    if on_ray is not None:
        from robench.sweep import ray_engine

        cpus, gpus = on_ray
        engine = functools.partial(ray_engine.on_ray, cpus=cpus, gpus=gpus)
    elif jobs == 1 and log.is_terminal and not quiet:
        from robench.run.progress import ProgressBars

        bars = ProgressBars(log)
        registry.manager.register(bars)
    with bars:
        report = (lambda line: None) if quiet else _say
        outcomes = run_sweep(missing, bench, registry=registry, processes=jobs, report=report, engine=engine)
    return [outcome for outcome in outcomes if outcome.result is None]


def _say(line: str) -> None:
    click.echo(f"robench: {line}", err=True)
