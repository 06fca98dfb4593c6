"""Runs as tasks of a Ray cluster: on as many machines as it has, retried when a worker dies.

An adversarial set that several runs need is a task of its own. Those runs start when it has ended, so each set is made
once. If it failed, they make it themselves and report their own errors.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robench.compute.device import resolve_device
from robench.errors import PluginError
from robench.registry.registry import FILES, discover
from robench.run.plan import Request, plan
from robench.storage.location import Location
from robench.sweep.adversarial_sets import make_set, sets_of
from robench.sweep.local import Bench, Outcome, Work, attempt, carry_out_alone
from robench.sweep.plan import Job

RETRIES = 3
"""Times that a task is begun again when its worker dies; a run goes on from its last checkpoint."""


def prepare_alone(request: Request, bench: Bench, threads: int, key: str) -> None:
    """Make one of the sets that a run shares with others, in a process that does nothing else."""
    torch.set_num_threads(threads)
    device = resolve_device(bench.device)
    make_set(plan(discover(), request), key, device=device, cache_dir=bench.cache_dir, compiled=bench.compiled)


def on_ray(
    jobs: Sequence[Job],
    bench: Bench,
    *,
    cpus: float,
    gpus: float,
    work: Work = carry_out_alone,
    prepare: Callable[[Request, Bench, int, str], None] = prepare_alone,
) -> Generator[tuple[Job, Outcome]]:
    """Carry out `jobs` on the cluster at ``RAY_ADDRESS``, or on one started here, and yield how each ended.

    Folders of `bench` are shared by all machines under one path; a URL means the same everywhere. Workers begin in the
    current folder if they have it, so that relative paths in runs mean the same.

    Args:
        cpus: Processors, and threads, of one task.
        gpus: Devices of one task; a share of one is possible.
        work: What carries out one run.
        prepare: What makes one set, given a run that needs it and its key.

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
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_in_folder)
    folder, given = str(Path.cwd()), (place, max(1, int(cpus)))
    keys = {job.run_id: {key for key, each in sets_of(job.plan).items() if each.attack.surrogate} for job in jobs}
    users = Counter(key for own in keys.values() for key in own)
    makers = {key: job for job in jobs for key in keys[job.run_id] if users[key] > 1}
    making = {task.remote(folder, prepare, job.request, *given, key): key for key, job in makers.items()}
    left, waiting = list(jobs), dict[Any, Job]()
    try:
        while left or waiting:
            for job in [job for job in left if keys[job.run_id].isdisjoint(making.values())]:
                left.remove(job)
                waiting[task.remote(folder, _carry_out, job, *given, work)] = job
            (done, *_), _ = ray.wait([*making, *waiting], num_returns=1)
            if making.pop(done, None):
                continue
            job = waiting.pop(done)
            try:
                yield job, ray.get(done)
            except ray.exceptions.RayError as error:
                why = f"its worker died {RETRIES + 1} times: {' '.join(str(error).split())[:200]}"
                yield job, Outcome(row=job.row, seed=job.seed, error=why)
    finally:
        for each in (*making, *waiting):  # as Ctrl-C in the workers, which save their records first
            ray.cancel(each)


def _anywhere(place: Location) -> Location:
    return place.absolute() if isinstance(place, Path) else place


def _in_folder(folder: str, do: Callable[..., Any], *given: Any) -> Any:
    if Path(folder).is_dir():
        os.chdir(folder)
    return do(*given)


def _carry_out(job: Job, bench: Bench, threads: int, work: Work) -> Outcome:
    return attempt(job, lambda request: work(request, bench, threads))
