"""An index of a folder of records: its measurements, kept from one call to the next.

The index is only a cache. A record is read again if the size, times or number of its file changed. An index that is
damaged or was written by other code is made again.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from robench.leaderboard.schema import INDEXED, STATE, as_array, take_rows
from robench.records.listing import Listing, listing
from robench.registry.source_files import code_hashes
from robench.storage.plain_file import require_plain
from robench.storage.whole_file import remove_abandoned, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEXED_FROM = 1000
"""With fewer records no index is kept; they are read fast enough."""
DIGEST_BYTES = 64
"""Length of the hexadecimal SHA-256 at the start of the file."""


def read_measurements(
    results: Path,
    cache: Path,
    warn: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
    indexed_from: int | None = None,
) -> pa.Table:
    """Return the measurements of all records in a folder, in the order of file names.

    Args:
        results: The folder of records.
        cache: The cache folder, which holds the index.
        warn: Takes one line for each damaged record, and one if no index can be kept.
        progress: Takes the number of records read so far, and the number to be read.
        indexed_from: With fewer records no index is kept; by default ``INDEXED_FROM``.

    Raises:
        DataError: The folder does not exist.
    """
    found = listing(results)
    path = cache / "index" / f"{hashlib.sha256(os.fsencode(results.resolve())).hexdigest()[:24]}.arrow"
    indexed = len(found.names) >= (INDEXED_FROM if indexed_from is None else indexed_from)
    before = (_load(path) if indexed else None) or INDEXED.empty_table()
    kept, unknown = _unchanged(before, found)
    if not unknown and len(kept) == len(before):
        return before
    from robench.leaderboard.read import read_rows

    rows, damaged = read_rows(results, unknown, lambda done: progress(done, len(unknown)))
    for name in sorted(damaged):
        warn(f"skipped {damaged[name]}")
    table = pa.concat_tables([kept, rows]).unify_dictionaries().combine_chunks()
    table = take_rows(table, np.lexsort((as_array(table["part"]), _places(table, found))))
    if indexed and (len(kept) < len(before) or rows["size"].null_count < len(rows)):
        try:
            _save(table.filter(table["size"].is_valid()), path)
        except OSError as error:
            warn(f"no index is kept in {path.parent}: {error.strerror or error}; all records are read each time")
    return table


def _unchanged(before: pa.Table, found: Listing) -> tuple[pa.Table, list[str]]:
    """Return the rows whose files are unchanged, and the files that have no such rows."""
    places = _places(before, found)
    state = np.stack([as_array(before[name]) for name in STATE], axis=1)
    same = np.flatnonzero((places >= 0) & (state == found.state[places]).all(axis=1))
    known = np.zeros(len(found.names), dtype=bool)
    known[places[same]] = True
    kept = before if len(same) == len(before) else take_rows(before, same)
    return kept, [found.names[place] for place in np.flatnonzero(~known)]


def _places(table: pa.Table, found: Listing) -> NDArray[np.int64]:
    """Return the number of each row's file in `found`; -1 if the file is gone."""
    places = {name: place for place, name in enumerate(found.names)}
    run_ids = table["run_id"].to_pylist()
    return np.fromiter((places.get(f"{run_id}.json", -1) for run_id in run_ids), np.int64, len(run_ids))


def _load(path: Path) -> pa.Table | None:
    """Return the index at `path`, mapped into memory; None if it does not exist or cannot be used."""
    try:
        require_plain(path)
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
    """Write the index completely or not at all.

    Raises:
        OSError: The cache cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with whole_file(path) as temporary, temporary.open("w+b") as file:
        file.write(b"0" * DIGEST_BYTES)
        with pa.ipc.new_file(pa.PythonFile(file, "w"), _schema()) as writer:
            writer.write_table(table.cast(_schema()))
        file.seek(DIGEST_BYTES)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        file.write(digest.encode())


def _schema() -> pa.Schema:
    """Return the schema of an index that this code wrote, with the hash of the code."""
    return INDEXED.with_metadata({"robench": code_hashes(["robench"])["robench"]})
