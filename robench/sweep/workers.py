"""Processes that carry out the runs of a sweep side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Lock
from typing import TypeVar

from robench.compute.orphans import end_with_parent
from robench.sweep.claims import ClaimedError

Result = TypeVar("Result")


class Workers:
    """Processes that carry out one run after the other, so that libraries are imported and images loaded once.

    Each is a pool of its own, so that one that dies takes no other run with it. A process whose run failed is ended,
    because it may have left a GPU in a state that no other run could use; so is one that no further run waits for.
    """

    def __init__(self, runs: int) -> None:
        self._idle: list[ProcessPoolExecutor] = []
        self._waiting, self._lock = runs, Lock()

    def carry_out(self, work: Callable[..., Result], *given: object) -> Result:
        """Return what `work` returns in one of the processes; a function that can be pickled, as what it is given.

        Raises:
            RuntimeError: The process died.
        """
        with self._lock:
            self._waiting -= 1
            idle = self._idle.pop() if self._idle else None
        process, sound = idle or _process(), False
        try:
            try:
                future = process.submit(work, *given)
            except BrokenProcessPool:  # it died while it waited
                process = _process()
                future = process.submit(work, *given)
            found = future.result()
            sound = True
            return found
        except ClaimedError:
            sound = True
            raise
        except BrokenProcessPool:
            raise RuntimeError("its process died; out of memory? Try fewer --jobs") from None
        finally:
            with self._lock:
                keep = sound and self._waiting > len(self._idle)
                self._idle += [process] if keep else []
            if not keep:
                process.shutdown()

    def end(self) -> None:
        """End the processes that wait, where runs were given up."""
        for process in self._idle:
            process.shutdown()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
