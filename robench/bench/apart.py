"""One side of a comparison in a process of its own, where memory is as a run of robench has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from robench.errors import RobenchError

Make = Callable[[str, Path, int], Callable[[], Any]]
"""What makes the work, given a device, a folder and a number of images: a function that pickles by name."""


@contextmanager
def apart(make: Make, device: str, folder: Path, n: int) -> Iterator[Callable[[], Any]]:
    """Yield what has the work done in another process, and returns what it returned the first time.

    Raises:
        RobenchError: The process died.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make, device, folder, n), daemon=True)
    process.start()
    theirs.close()

    def work() -> Any:
        try:
            ours.send("go")
            return ours.recv()
        except (EOFError, OSError):
            raise RobenchError("the process that was measured died; out of memory?") from None

    try:
        yield work
    finally:
        ours.close()
        process.join()


def _serve(parent: Connection, make: Make, device: str, folder: Path, n: int) -> None:
    from robench.compute.fast_functions import fast_functions
    from robench.networks.memory import keep_freed_memory

    keep_freed_memory()
    with fast_functions():
        _work(parent, make(device, folder, n))


def _work(parent: Connection, work: Callable[[], Any]) -> None:
    told = False
    while True:
        try:
            parent.recv()
        except EOFError:
            return
        result = work()
        parent.send(None if told else result)
        told = True
