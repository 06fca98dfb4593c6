"""Where the runs of a comparison are carried out: what ``robench sweep`` and ``robench suite`` share."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robench.cli import options
from robench.cli.output import console, echo, print_grid, say, warn
from robench.errors import SpecError
from robench.registry.registry import FILES, Registry
from robench.storage.location import Location
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.records.record import RunResult
    from robench.run.identity import Found
    from robench.sweep.choose import Trials
    from robench.sweep.local import Bench, Outcome
    from robench.sweep.plan import Job, Sweep

_ENGINE = (
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        help="Runs at a time, which share the CPU; with slurm, tasks of the array job.",
    ),
    click.option(
        "--engine",
        type=options.Choice(["local", "ray", "slurm"]),
        default="local",
        help="Where to run: on this machine, on a Ray cluster, or with slurm, which only prints a script for sbatch.",
    ),
    click.option(
        "--cpus", type=click.FloatRange(min=0, min_open=True), help="CPUs of each run, with ray or slurm.  [default: 1]"
    ),
    click.option("--gpus", type=click.FloatRange(min=0), help="GPUs of each run, with ray or slurm.  [default: 0]"),
    click.option("--dry-run", is_flag=True, help="Only show which runs are missing and what they cost."),
)


def engine_options(command: Any) -> Any:
    """Add the options that say where runs are carried out, and whether at all."""
    for option in reversed(_ENGINE):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Done:
    """What has become of the runs of a comparison: the completed records by run ID, and how those ended that failed."""

    completed: Mapping[str, RunResult]
    failed: Sequence[Outcome]

    def end(self) -> None:
        """Say which runs failed, and exit with 1 if any did."""
        from robench.sweep.local import describe

        for outcome in self.failed:
            say(describe(outcome))
        if self.failed:
            raise click.exceptions.Exit(1)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where runs are carried out, as the options say it."""

    name: str
    jobs: int
    cpus: float | None
    gpus: float | None

    @property
    def resources(self) -> tuple[float, float]:
        """CPUs and GPUs of each run."""
        return self.cpus or 1.0, self.gpus or 0.0

    def check(self, cache_dir: Location | None) -> None:
        """Refuse options that do not go with the engine."""
        if self.name == "local" and (self.cpus, self.gpus) != (None, None):
            raise SpecError(
                "--cpus and --gpus are for --engine ray and slurm; on this machine, runs share the CPU by --jobs"
            )
        if self.name == "slurm" and cache_dir is None:
            raise SpecError("--engine slurm needs --cache-dir DIR, a folder or a URL that all nodes share")
        if self.name == "ray" and self.jobs > 1:
            raise SpecError(
                f"--jobs {self.jobs} is for this machine; Ray runs as many at a time as --cpus and --gpus allow"
            )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is to be run: a definition, its runs, the command that asks for them, and the runs that chose settings."""

    definition: Sweep
    planned: list[Job]
    words: tuple[str, ...]
    trials: Trials | None = None


def carry_out(
    registry: Registry,
    comparison: Comparison,
    bench: Bench,
    engine: Engine,
    style: str,
    *,
    dry_run: bool,
    quiet: bool,
) -> Done | None:
    """Carry out the runs that are missing; None if only a script for Slurm or the plan was asked for, and printed."""
    from robench.sweep.cost import cost_grid, cost_json, sweep_cost

    if engine.name == "slurm":
        echo(slurm_of(list(comparison.words), bench, engine.jobs, *engine.resources), nl=False)
        return None
    on_ray = engine.resources if engine.name == "ray" else None
    done = complete(registry, comparison.planned, bench, engine.jobs, on_ray, dry_run, quiet)
    if not dry_run:
        return done
    definition, planned, completed = comparison.definition, comparison.planned, done.completed
    if (trials := comparison.trials) is not None:
        definition = dataclasses.replace(definition, rows=(*trials.definition.rows, *definition.rows))
        planned, completed = [*trials.planned, *planned], {**trials.completed, **completed}
    costs = sweep_cost(planned, completed)
    print_grid(cost_grid(definition, costs), cost_json(definition, costs), style)
    return None


def choose(
    registry: Registry, definition: Sweep, bench: Bench, engine: Engine, *, dry_run: bool, quiet: bool
) -> tuple[Sweep, Trials | None, Sequence[Outcome]]:
    """Carry out the runs of candidates that are missing, and choose among them.

    Returns:
        The definition with what was chosen, the runs that it was chosen by, and how those ended that failed. Rows that
        cannot be chosen yet are left out, or, for a plan, have their first candidate.

    Raises:
        SpecError: A run cannot be planned, whatever will be chosen.
    """
    from robench.storage.location import within
    from robench.sweep.choose import FOLDER, Trials, candidates_of, settled
    from robench.sweep.plan import plan_sweep

    if (candidates := candidates_of(definition)) is None:
        return definition, None, ()
    planned, plan_only = plan_sweep(registry, candidates), dry_run or engine.name == "slurm"
    untried = Trials(definition=candidates, planned=planned, completed={})
    plan_sweep(registry, settled(definition, untried, first_if_open=True))
    bench = dataclasses.replace(bench, results=within(bench.results, FOLDER), checks="off", adapters=None)
    on_ray = engine.resources if engine.name == "ray" else None
    done = complete(registry, planned, bench, engine.jobs, on_ray, plan_only, quiet)
    trials = dataclasses.replace(untried, completed=done.completed)
    return settled(definition, trials, first_if_open=plan_only), trials, done.failed


def complete(
    registry: Registry,
    planned: list[Job],
    bench: Bench,
    jobs: int,
    on_ray: tuple[float, float] | None,
    dry_run: bool,
    quiet: bool,
) -> Done:
    """Carry out the runs that are missing, unless it is a dry run.

    Args:
        on_ray: CPUs and GPUs of each run on a Ray cluster; None for this machine.
    """
    from robench.records.shared_store import store_at
    from robench.run.dataset_cache import DatasetCache
    from robench.run.identity import contents_of, recorded_among

    store = store_at(bench.results)
    known: dict[Path, str] = {}
    contents = {job.run_id: contents_of(job.plan, bench.cache_dir, known) for job in planned}
    images = DatasetCache()

    def recorded(records: list[RunResult]) -> dict[str, Found]:
        return {job.run_id: recorded_among(records, job.plan, contents[job.run_id], images) for job in planned}

    found = recorded(store.read(warn) if bench.results.is_dir() else [])
    completed = {run_id: each.record for run_id, each in found.items() if each.record is not None}
    missing = [job for job in planned if job.run_id not in completed]
    changed = dict.fromkeys(note for each in found.values() if each.record is None for note in each.notes)
    for note in () if dry_run or quiet else changed:
        say(f"measured again: {note}")
    failed: list[Outcome] = []
    if missing and not dry_run:
        failed = _run(registry, missing, bench, jobs, on_ray, quiet)
        found = recorded(store.read(lambda message: None))
        completed = {run_id: each.record for run_id, each in found.items() if each.record is not None}
    return Done(completed=completed, failed=failed)


def slurm_of(words: list[str], bench: Bench, tasks: int, cpus: float, gpus: float) -> str:
    """Return the script of an array job of `tasks` processes that each carry out the command `words`."""
    from robench.sweep.slurm import slurm_script

    results, cache = (
        each.url if isinstance(each, SharedFolder) else str(each) for each in (bench.results, bench.cache_dir)
    )
    command = [*words, "--results", results, "--cache-dir", cache]
    command += ["--device", bench.device, "--checks", bench.checks, "--quiet"]
    command += ["--compile"] if bench.compiled else []
    command += ["--save-adapters", str(bench.adapters)] if bench.adapters else []
    command += [word for logger in bench.loggers for word in ("--log", logger)]
    plugins = os.environ.get(FILES)  # of --plugin, and of the shell
    environment = {FILES: plugins} if plugins else None
    return slurm_script(command, tasks=tasks, cpus=math.ceil(cpus), gpus=math.ceil(gpus), environment=environment)


def _run(
    registry: Registry,
    missing: list[Job],
    bench: Bench,
    jobs: int,
    on_ray: tuple[float, float] | None,
    quiet: bool,
) -> list[Outcome]:
    """Carry out the missing runs, and return how those ended that failed.

    Args:
        on_ray: CPUs and GPUs of each run on a Ray cluster; None for this machine.
    """
    from robench.run.progress import progress_bars
    from robench.sweep.local import run_sweep

    log, engine = console(stderr=True), None
    bars: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if on_ray is not None:
        from robench.sweep import ray_engine

        engine = functools.partial(ray_engine.on_ray, cpus=on_ray[0], gpus=on_ray[1])
    elif jobs == 1 and log.is_terminal and not quiet:
        bars = progress_bars(registry.manager, log)
    with bars:
        report = (lambda line: None) if quiet else say
        outcomes = run_sweep(missing, bench, registry=registry, processes=jobs, report=report, engine=engine)
    return [outcome for outcome in outcomes if outcome.result is None]
