"""Runs as tasks of a Ray cluster: on as many machines as it has, retried when a worker dies."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from robench.errors import PluginError
from robench.registry.registry import FILES
from robench.storage.location import Location
from robench.sweep.local import Bench, Outcome, Work, attempt, carry_out_alone
from robench.sweep.plan import Job

RETRIES = 3
"""Times that a run is begun again when its worker dies, from its last checkpoint where the cache is shared."""


def on_ray(
    jobs: Sequence[Job], bench: Bench, *, cpus: float, gpus: float, work: Work = carry_out_alone
) -> Generator[tuple[Job, Outcome]]:
    """Carry out `jobs` on the cluster at ``RAY_ADDRESS``, or on one started here, and yield how each ended.

    Folders of `bench` are shared by all machines under one path; a URL means the same everywhere. Workers begin in the
    current folder, where they have it too, so that relative paths in runs mean the same.

    Args:
        cpus: Processors, and threads, that one run takes.
        gpus: Devices that one run takes; a share of one is possible.
        work: What carries out one run.

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
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_carry_out)
    waiting: dict[Any, Job] = {task.remote(job, place, max(1, int(cpus)), str(Path.cwd()), work): job for job in jobs}
    try:
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                yield job, ray.get(done)
            except ray.exceptions.RayError as error:
                why = f"its worker died {RETRIES + 1} times: {' '.join(str(error).split())[:200]}"
                yield job, Outcome(row=job.row, seed=job.seed, error=why)
    finally:
        for left in waiting:  # as Ctrl-C in the workers, which save their records first
            ray.cancel(left)


def _anywhere(place: Location) -> Location:
    return place.absolute() if isinstance(place, Path) else place


def _carry_out(job: Job, bench: Bench, threads: int, folder: str, work: Work) -> Outcome:
    if Path(folder).is_dir():
        os.chdir(folder)
    return attempt(job, lambda request: work(request, bench, threads))
