"""The leaderboard's columns of a folder of records, kept from one call to the next.

A cache and nothing else: a record is read again unless its file is, by size, times and number, the one that was read;
an index that is damaged, or of other code, is made anew. Without one, everything is as before, only slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from robench.leaderboard.columns import ROW, STATE, numbers, picked
from robench.records.listing import Listing, listing
from robench.registry.source_files import code_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEXED_FROM = 1000
"""Records that are read in less time than an index is worth."""
DIGEST_BYTES = 64
"""Of the hexadecimal SHA-256 before the columns."""
ABANDONED = 3600
"""Seconds after which nobody writes to a temporary file any more."""


def _nobody(done: int, total: int) -> None:
    """Hear no progress."""


def read_entries(
    results: Path,
    cache: Path,
    warn: Callable[[str], None],
    progress: Callable[[int, int], None] = _nobody,
    indexed_from: int | None = None,
) -> pa.Table:
    """Return the columns of all records in a folder, by file name; a damaged one is named to `warn`.

    Args:
        results: The folder of records.
        cache: The cache folder, where the index is.
        warn: Is told what the user should know.
        progress: Is told how many records are read, and of how many.
        indexed_from: With fewer records there is no index; by default, ``INDEXED_FROM``.

    Raises:
        DataError: The folder does not exist.
    """
    found = listing(results)
    path = cache / "index" / f"{hashlib.sha256(os.fsencode(results.resolve())).hexdigest()[:24]}.arrow"
    indexed = len(found.names) >= (INDEXED_FROM if indexed_from is None else indexed_from)
    before = (_load(path) if indexed else None) or ROW.empty_table()
    kept, unknown = _unchanged(before, found)
    if not unknown and len(kept) == len(before):
        return before
    from robench.leaderboard.index_read import read_rows

    rows, damaged = read_rows(results, unknown, lambda done: progress(done, len(unknown)))
    for name in sorted(damaged):
        warn(f"skipped {damaged[name]}")
    table = pa.concat_tables([kept, rows]).unify_dictionaries().combine_chunks()
    table = picked(table, np.lexsort((numbers(table["part"]), _places(table, found))))
    if indexed and (len(kept) < len(before) or rows["size"].null_count < len(rows)):
        try:
            _save(table.filter(table["size"].is_valid()), path)
        except OSError as error:
            warn(f"no index is kept in {path.parent}: {error.strerror or error}; all records are read each time")
    return table


def _unchanged(before: pa.Table, found: Listing) -> tuple[pa.Table, list[str]]:
    """Return the rows whose files are as they were, and the files that have none."""
    places = _places(before, found)
    state = np.stack([numbers(before[name]) for name in STATE], axis=1)
    same = np.flatnonzero((places >= 0) & (state == found.state[places]).all(axis=1))
    known = np.zeros(len(found.names), dtype=bool)
    known[places[same]] = True
    kept = before if len(same) == len(before) else picked(before, same)
    return kept, [found.names[place] for place in np.flatnonzero(~known)]


def _places(table: pa.Table, found: Listing) -> NDArray[np.int64]:
    """Return which file each row is of; -1 for one that is gone."""
    places = {name: place for place, name in enumerate(found.names)}
    run_ids = table["run_id"].to_pylist()
    return np.fromiter((places.get(f"{run_id}.json", -1) for run_id in run_ids), np.int64, len(run_ids))


def _load(path: Path) -> pa.Table | None:
    """Return the index at `path`, mapped into memory; None if there is none that can be used."""
    try:
        with path.open("rb") as file:
            digest = file.read(DIGEST_BYTES)
            if hashlib.file_digest(file, "sha256").hexdigest().encode() != digest:
                return None
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.ipc.open_file(pa.py_buffer(content).slice(DIGEST_BYTES)) as reader:
            if not reader.schema.equals(_schema(), check_metadata=True):
                return None
            return reader.read_all()
    except (OSError, ValueError, pa.ArrowException):
        return None


def _save(table: pa.Table, path: Path) -> None:
    """Write the index whole or not at all.

    Raises:
        OSError: The cache cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{path.stem}.*.tmp"):  # of a writer that was killed, if it is old
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED:
                leftover.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w+b") as file:
            file.write(b"0" * DIGEST_BYTES)
            with pa.ipc.new_file(pa.PythonFile(file, "w"), _schema()) as writer:
                writer.write_table(table.cast(_schema()))
            file.seek(DIGEST_BYTES)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            file.write(digest.encode())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _schema() -> pa.Schema:
    """Return the schema of an index that this code wrote; whatever is measured or kept otherwise is other code."""
    return ROW.with_metadata({"robench": code_hashes(["robench"])["robench"]})
