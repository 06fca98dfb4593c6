"""Run what is missing of a sweep, in this process or several; a run that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from robench.checks.certificate import Level
from robench.compute.device import resolve_device
from robench.networks.memory import free_memory
from robench.records.record import RunResult
from robench.records.shared_store import store_at
from robench.registry.registry import Registry, discover
from robench.run.dataset_cache import DatasetCache
from robench.run.identity import changes, contents_of, recorded
from robench.run.loggers import listening
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.run.status import status_kept
from robench.storage.location import Location, local_folder, prepare_cache
from robench.sweep.claims import ClaimedError, claimed, claimed_among
from robench.sweep.cost import duration
from robench.sweep.plan import Job
from robench.sweep.workers import Workers

PAUSE = 2.0
"""Seconds between two looks at the runs of other processes."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where and how runs are carried out, as plain values that can be sent to another process.

    Attributes:
        results: Where the records are.
        cache_dir: Where the cache is; it may be emptied at any time.
        device: As of ``--device``.
        adapters: Folder for what runs train, one file a run under its id; None if it is not kept.
        checks: How thoroughly runs are checked.
        loggers: Who is told of runs, as typed after ``--log``.
        compiled: As of ``--compile``.
    """

    results: Location
    cache_dir: Location
    device: str = "auto"
    adapters: Path | None = None
    checks: Level = "off"
    loggers: tuple[str, ...] = ()
    compiled: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one run ended: with a record, with an error in one line, or ``claimed`` by another process."""

    row: str
    seed: int
    result: RunResult | None = None
    error: str = ""
    claimed: bool = False


Work = Callable[[Request, Bench, int], RunResult]
"""Carries out a run in a process of its own with a number of threads; a function that can be pickled."""
Engine = Callable[[Sequence[Job], Bench], Generator[tuple[Job, Outcome]]]
"""Carries out runs and yields each with how it ended."""


def run_sweep(
    jobs: Sequence[Job],
    bench: Bench,
    *,
    registry: Registry,
    processes: int = 1,
    report: Callable[[str], None],
    work: Work | None = None,
    engine: Engine | None = None,
) -> list[Outcome]:
    """Carry out `jobs` and return how each ended, in the order they ended.

    A run that fails is reported and the others go on. Runs that another process is carrying out come last, when it has
    recorded them or has died. On Ctrl-C no other run is started, and runs under way in other processes save their
    record first. If this process is killed, they end at once, and the next sweep carries them out.

    Args:
        registry: The components of this process; other processes discover their own.
        processes: How many runs at a time; they share the CPU's threads. A single one runs in this process.
        report: Is told one line for each run.
        work: For tests, in place of :func:`carry_out_alone`.
        engine: In place of processes of this machine.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        DataError: The results cannot be written, or a URL cannot be reached.
        SpecError: No such device on this machine, without `engine`.
    """
    store_at(bench.results).prepare()
    prepare_cache(bench.cache_dir)
    if engine is None:
        resolve_device(bench.device)
    if bench.adapters is not None:
        bench.adapters.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    outcomes: list[Outcome] = []
    left, waiting = list(jobs), False
    while left:
        busy = claimed_among(bench.results, [job.run_id for job in left]) if waiting else ()
        ready = [job for job in left if job.run_id not in busy]
        before = len(left)
        if engine is not None:
            ended = engine(ready, bench)
        elif processes == 1:
            ended = _one_by_one(ready, bench, registry)
        else:
            ended = _side_by_side(ready, bench, processes, work or carry_out_alone)
        with closing(ended):
            for job, outcome in ended:
                if outcome.claimed:
                    continue
                left.remove(job)
                outcomes.append(outcome)
                remaining = (time.monotonic() - start) / len(outcomes) * len(left)
                report(f"[{len(outcomes)}/{len(jobs)}] {describe(outcome)}; {duration(remaining)} left")
        if left and not waiting:
            report(f"waiting for other processes, which carry out {len(left)} more")
        elif len(left) == before:
            time.sleep(PAUSE)
        waiting = True
    return outcomes


def carry_out(
    registry: Registry, request: Request, bench: Bench, dataset_cache: DatasetCache | None = None
) -> RunResult:
    """Carry out one run in this process, or return its record if another sweep has made it meanwhile.

    Args:
        dataset_cache: Images that an earlier run of this process has loaded.

    Raises:
        ClaimedError: Another process is at it.
    """
    planned = plan(registry, request)
    store = store_at(bench.results)
    trained = None
    if bench.adapters is not None and planned.spec.train_size is not None:
        trained = bench.adapters / f"{planned.spec.run_id()}.safetensors"
    with status_kept(registry.manager, bench.results) as status, claimed(bench.results, planned.spec, status):
        contents = contents_of(planned, bench.cache_dir)
        return recorded(store, planned, contents).record or run(
            registry,
            planned,
            device=resolve_device(bench.device),
            cache_dir=bench.cache_dir,
            save=lambda result: store.write_or_rescue(
                result,
                local_folder(bench.cache_dir) / "rescued-results",
                once=True,
                same=lambda there: not changes(there, contents),
            ),
            keep=store.keep,
            checks=bench.checks,
            save_adapter=None if trained is None or trained.exists() else trained,
            dataset_cache=dataset_cache,
            compiled=bench.compiled,
        )


def carry_out_alone(request: Request, bench: Bench, threads: int) -> RunResult:
    """Carry out one run in a process that does nothing else but the runs before and after it."""
    torch.set_num_threads(threads)
    registry, dataset_cache = _of_this_process()
    try:
        return _logged(registry, request, bench, dataset_cache)
    finally:
        free_memory()  # other processes may be on the same GPU


@cache
def _of_this_process() -> tuple[Registry, DatasetCache]:
    return discover(), DatasetCache()


def _logged(registry: Registry, request: Request, bench: Bench, dataset_cache: DatasetCache | None = None) -> RunResult:
    with listening(registry, bench.loggers):
        return carry_out(registry, request, bench, dataset_cache)


def describe(outcome: Outcome) -> str:
    """Return one line: the figures of a run in percent and its time, or why it failed."""
    name = f"{outcome.row}, seed {outcome.seed}"
    result = outcome.result
    if result is None or result.clean is None:
        return f"{name}: failed: {outcome.error}"
    adversarial = ", ".join(f"{100 * score.accuracy:.1f}" for score in result.attacks) or "not measured"
    clean = f"clean {100 * result.clean.accuracy:.1f}"
    return f"{name}: {clean}, adversarial {adversarial}, {result.seconds['total']:.0f} s"


def attempt(job: Job, work: Callable[[Request], RunResult]) -> Outcome:
    """Carry out `job` by `work` and return how it ended; an exception becomes one line."""
    try:
        return Outcome(row=job.row, seed=job.seed, result=work(job.request))
    except ClaimedError:
        return Outcome(row=job.row, seed=job.seed, claimed=True)
    except Exception as error:  # also a plugin's bug does not stop the other runs
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(row=job.row, seed=job.seed, error=message)


def _one_by_one(jobs: Sequence[Job], bench: Bench, registry: Registry) -> Generator[tuple[Job, Outcome]]:
    dataset_cache = DatasetCache()
    for job in tuple(jobs):
        yield job, attempt(job, lambda request: _logged(registry, request, bench, dataset_cache))
        if torch.accelerator.is_available():
            free_memory()


def _side_by_side(jobs: Sequence[Job], bench: Bench, processes: int, work: Work) -> Generator[tuple[Job, Outcome]]:
    threads = max(1, torch.get_num_threads() // processes)
    workers = Workers(len(jobs))

    def alone(request: Request) -> RunResult:
        return workers.carry_out(work, request, bench, threads)

    with ThreadPoolExecutor(processes) as pool:
        waiting = {pool.submit(attempt, job, alone): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            workers.end()
