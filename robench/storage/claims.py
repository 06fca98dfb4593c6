"""Who carries out a run: one process at a time, so that several sweeps of one definition share the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from robench.storage.lease import HeldError, held, leased
from robench.storage.location import Location
from robench.storage.shared_folder import SharedFolder

FOLDER = ".running"


class ClaimedError(Exception):
    """Another process is carrying out this run."""


@contextmanager
def claimed(results: Location, run_id: str) -> Iterator[None]:
    """Hold the run `run_id` against other processes that use the records at `results`.

    In a folder the lock is the operating system's, which releases it when a process dies, in whatever way. A place that
    machines share by URL has leases, which are lost minutes after that.

    Raises:
        ClaimedError: Somebody holds it.
        OSError: The folder cannot be written to.
        DataError: The place cannot be reached.
    """
    with ExitStack() as stack:
        try:
            if isinstance(results, SharedFolder):
                stack.enter_context(leased(results, f"{FOLDER}/{run_id}", wait=False))
            else:
                stack.enter_context(_lock(results, run_id).acquire(timeout=0))
        except (HeldError, Timeout):
            raise ClaimedError(f"another process is carrying out run {run_id}") from None
        yield


def claimed_among(results: Location, run_ids: Sequence[str]) -> set[str]:
    """Return which of `run_ids` somebody is carrying out.

    Raises:
        OSError: The folder cannot be written to.
        DataError: The place cannot be reached.
    """
    if isinstance(results, SharedFolder):
        return held(results, FOLDER) & set(run_ids)
    busy = set(run_ids)
    for run_id in run_ids:
        with suppress(Timeout), _lock(results, run_id).acquire(timeout=0):
            busy.remove(run_id)
    return busy


def _lock(results: Path, run_id: str) -> FileLock:
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{run_id}.lock")
