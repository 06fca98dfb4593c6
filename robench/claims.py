"""Who carries out a run: one process at a time, so that several sweeps of one definition share the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = ".running"


class ClaimedError(Exception):
    """Another process is carrying out this run."""


@contextmanager
def claimed(results: Path, run_id: str, *, wait: bool) -> Iterator[None]:
    """Hold the run `run_id` against other processes that use the folder of records `results`.

    The lock is the operating system's, which releases it when a process dies, in whatever way.

    Args:
        wait: Until nobody holds it; the record may be there then.

    Raises:
        ClaimedError: Somebody holds it, without `wait`.
        OSError: The folder cannot be written to.
    """
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{run_id}.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise ClaimedError(f"another process is carrying out run {run_id}") from None
    try:
        yield
    finally:
        lock.release()
