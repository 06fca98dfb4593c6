"""Processes that end when the process that started them is gone, in whatever way it ended."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

ORPHANED = 70
"""Exit code of a process whose parent is gone."""


def end_with_parent() -> None:
    """End this process, which ``multiprocessing`` started, as soon as its parent has ended.

    A parent that is killed cannot tell its workers, and a worker that waits for the next task would wait for ever. The
    operating system closes the parent's end of a pipe, which a thread here watches. The process ends at once, as if it
    were killed: whole files or none are on the disk, locks are released, and training goes on from its last checkpoint.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(ORPHANED)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
