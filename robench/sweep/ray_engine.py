"""Runs as tasks of a Ray cluster: on as many machines as it has, retried when a worker dies.

An adversarial set that several runs need is a task of its own. Those runs start when it has ended, so each set is made
once. If it failed, they make it themselves and report their own errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robench.compute.device import resolve_device
from robench.errors import PluginError
from robench.registry.registry import FILES, Registry, discover
from robench.run.plan import plan
from robench.storage.location import Location
from robench.sweep.local import Bench, Outcome, Work, attempt, carry_out_alone
from robench.sweep.plan import Job
from robench.sweep.shared_sets import make_set, sets_of_several

RETRIES = 3
"""Times that a task is begun again when its worker dies; a run goes on from its last checkpoint."""


def on_ray(
    jobs: Sequence[Job],
    bench: Bench,
    *,
    cpus: float,
    gpus: float,
    work: Work = carry_out_alone,
    components: Callable[[], Registry] = discover,
) -> Generator[tuple[Job, Outcome]]:
    """Carry out `jobs` on the cluster at ``RAY_ADDRESS``, or on one started here, and yield how each ended.

    Folders of `bench` are shared by all machines under one path; a URL means the same everywhere. Workers begin in the
    current folder if they have it, so that relative paths in runs mean the same.

    Args:
        cpus: Processors, and threads, of one task.
        gpus: Devices of one task; a share of one is possible.
        work: What carries out one run.
        components: What a worker calls for the components of the sets that it makes.

    Raises:
        PluginError: Ray is not installed, or its cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise PluginError("Ray is not installed; pip install 'robench[ray]'") from error
    files = os.pathsep.join(str(Path(file).absolute()) for file in os.environ.get(FILES, "").split(os.pathsep) if file)
    passed = {name: os.environ[name] for name in ("HF_HOME", "HF_HUB_OFFLINE", "TORCH_HOME") if name in os.environ}
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, runtime_env={"env_vars": {**passed, FILES: files}})
        except ConnectionError as error:
            raise PluginError(f"no Ray cluster at RAY_ADDRESS: {' '.join(str(error).split())}") from None
    place = replace(
        bench,
        results=_anywhere(bench.results),
        cache_dir=_anywhere(bench.cache_dir),
        adapters=bench.adapters and bench.adapters.absolute(),
    )
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
    run, prepare = remote(_carry_out), remote(_make_set)
    given = (place, max(1, int(cpus)), str(Path.cwd()))
    needs: dict[str, set[Any]] = {job.run_id: set() for job in jobs}
    making: set[Any] = set()
    for key, needing in sets_of_several(jobs).items():
        making.add(task := prepare.remote(needing[0], key, *given, components))
        for job in needing:
            needs[job.run_id].add(task)
    left, waiting = list(jobs), dict[Any, Job]()
    try:
        while left or waiting:
            for job in [job for job in left if not needs[job.run_id] & making]:
                left.remove(job)
                waiting[run.remote(job, *given, work)] = job
            (done, *_), _ = ray.wait([*making, *waiting], num_returns=1)
            if done in making:
                making.remove(done)
                continue
            job = waiting.pop(done)
            try:
                yield job, ray.get(done)
            except ray.exceptions.RayError as error:
                why = f"its worker died {RETRIES + 1} times: {' '.join(str(error).split())[:200]}"
                yield job, Outcome(row=job.row, seed=job.seed, error=why)
    finally:
        for task in (*making, *waiting):  # as Ctrl-C in the workers, which save their records first
            ray.cancel(task)


def _anywhere(place: Location) -> Location:
    return place.absolute() if isinstance(place, Path) else place


def _carry_out(job: Job, bench: Bench, threads: int, folder: str, work: Work) -> Outcome:
    _enter(folder)
    return attempt(job, lambda request: work(request, bench, threads))


def _make_set(job: Job, key: str, bench: Bench, threads: int, folder: str, components: Callable[[], Registry]) -> None:
    _enter(folder)
    torch.set_num_threads(threads)
    planned = plan(components(), job.request)
    make_set(planned, key, device=resolve_device(bench.device), cache_dir=bench.cache_dir, compiled=bench.compiled)


def _enter(folder: str) -> None:
    if Path(folder).is_dir():
        os.chdir(folder)
