"""Read records into measurements, with the state of each file, by which a later change is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from robench.compute.orphans import end_with_parent
from robench.errors import DataError
from robench.leaderboard.flatten import measurement_rows
from robench.leaderboard.schema import INDEXED, STATE
from robench.records.listing import state_of
from robench.records.store import read_record

SETTLED = 2_000_000_000
"""Nanoseconds after which another change of a file is sure to change its times, on any file system."""
CHUNK = 500
"""Records read at a time by one process."""
ALONE_BELOW = 4000
"""Below this number of records, one process is faster than starting several."""


def read_rows(folder: Path, names: Sequence[str], progress: Callable[[int], None]) -> tuple[pa.Table, dict[str, str]]:
    """Return the measurements of some records, and for each damaged one what is wrong with it.

    Many records are read by several processes.

    Args:
        folder: The folder of records.
        names: The names of the files.
        progress: Takes the number of records read so far.
    """
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    tables, done = [INDEXED.empty_table()], 0
    damaged: dict[str, str] = {}
    for table, wrong in _each(partial(_read_chunk, folder), chunks, alone=len(names) < ALONE_BELOW):
        tables.append(table)
        damaged |= wrong
        done = min(done + CHUNK, len(names))
        progress(done)
    return pa.concat_tables(tables), damaged


def _each(work: Callable[[Sequence[str]], Any], chunks: Sequence[Sequence[str]], *, alone: bool) -> Any:
    """Yield the result of `work` for each chunk, in order; by several processes unless `alone`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = 0
    if not alone and cpus > 1:
        try:
            with ProcessPoolExecutor(cpus, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
                for found in pool.map(work, chunks):
                    yield found
                    done += 1
        except BrokenProcessPool:
            pass  # one was killed, perhaps out of memory; the rest is read here
    yield from map(work, chunks[done:])


def _read_chunk(folder: Path, names: Sequence[str]) -> tuple[pa.Table, dict[str, str]]:
    rows: list[dict[str, Any]] = []
    damaged: dict[str, str] = {}
    for name in names:
        path, now = folder / name, time.time_ns()
        try:
            state = state_of(path)
            found = measurement_rows(read_record(path))
        except DataError as error:
            damaged[name] = str(error)
            continue
        if max(state[1:3]) < now - SETTLED and state == state_of(path):
            found = [{**row, **dict(zip(STATE, state, strict=True))} for row in found]
        rows += found
    return pa.Table.from_pylist(rows, schema=INDEXED), damaged
