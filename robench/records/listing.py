"""The files of a folder of records, and what tells whether one has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files that should be records.

    Attributes:
        names: In order.
        state: Of each file, as of :func:`state_of`, ``int64 (files, 4)``.
    """

    names: list[str]
    state: NDArray[np.int64]


def listing(folder: Path) -> Listing:
    """Return the files ``*.json`` of a folder.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"no results at {folder}; run `robench run` first or pass --results DIR")
    with os.scandir(folder) as files:
        states = {file.name: state_of(file) for file in files if file.name.endswith(".json")}
    names = sorted(states)
    return Listing(names=names, state=np.array([states[name] for name in names], dtype=np.int64).reshape(-1, 4))


def state_of(file: Path | os.DirEntry[str]) -> tuple[int, int, int, int]:
    """Return size, time of modification and of any change in nanoseconds, and number of a file; zeros if it is gone."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0, 0
    # Some file systems number files by more than 63 bits.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & (2**63 - 1)
