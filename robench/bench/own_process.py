"""One side of a comparison in a process of its own, with the memory settings of a run of robench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from robench.errors import RobenchError

Make = Callable[[str, Path, int], Callable[[], Any]]
"""Makes the work from a device, a folder and a number of images; a function that pickles by name."""


@contextmanager
def own_process(make: Make, device: str, folder: Path, n: int) -> Iterator[Callable[[], Any]]:
    """Yield a function that does the work in another process; its first call returns the result of the work.

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
            raise RobenchError("the measured process died; out of memory?") from None

    try:
        yield work
    finally:
        ours.close()
        process.join()


def _serve(parent: Connection, make: Make, device: str, folder: Path, n: int) -> None:
    from robench.compute.orphans import end_with_parent
    from robench.networks.fast_functions import fast_functions
    from robench.networks.memory import keep_freed_memory

    end_with_parent()
    keep_freed_memory()
    with fast_functions(), suppress(EOFError):  # the parent has closed its end: no more work
        work, is_first = make(device, folder, n), True
        while True:
            parent.recv()
            result = work()
            parent.send(result if is_first else None)
            is_first = False
