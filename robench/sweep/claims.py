"""Who carries out a run, so that sweeps of one definition share the work.

In a folder a claim is a lock on a file. The operating system releases it when the process ends, in whatever way. At a
URL there are no locks; there the run's status file is the claim, and it counts while it is renewed. Two workers may
rarely carry out the same run there. That wastes time, and the run is still recorded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from robench.records.record import RunSpec
from robench.records.shared_store import RUNNING, SharedStore
from robench.run.status import StatusFile, running
from robench.storage.location import Location
from robench.storage.shared_folder import SharedFolder


class ClaimedError(Exception):
    """Another process is carrying out this run."""


@contextmanager
def claimed(results: Location, spec: RunSpec, status: StatusFile) -> Iterator[None]:
    """Hold a run against other sweeps that use the records at `results`.

    Args:
        status: The status file of this process, which is the claim at a URL.

    Raises:
        ClaimedError: Another process holds it.
        OSError: The folder cannot be written to.
        DataError: The URL cannot be reached.
    """
    error = ClaimedError(f"another process is carrying out run {spec.run_id()}")
    if isinstance(results, SharedFolder):
        if not status.claim(spec):
            raise error
        yield
        return
    try:
        lock = _lock(results, spec.run_id()).acquire(timeout=0)
    except Timeout:
        raise error from None
    with lock:
        yield


def claimed_among(results: Location, run_ids: Sequence[str]) -> set[str]:
    """Return which of `run_ids` another process is carrying out.

    Raises:
        OSError: The folder cannot be written to.
        DataError: The URL cannot be reached.
    """
    busy = set(run_ids)
    if isinstance(results, SharedFolder):
        store = SharedStore(results)
        store.fetch(folder=RUNNING)
        return busy & {state.run_id for state in running(store.folder) if state.recent}
    for run_id in run_ids:
        with suppress(Timeout), _lock(results, run_id).acquire(timeout=0):
            busy.remove(run_id)
    return busy


def _lock(results: Path, run_id: str) -> FileLock:
    folder = results / RUNNING
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{run_id}.lock")
