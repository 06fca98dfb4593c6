"""The files of a folder of records, and whether one has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The record files of a folder.

    Attributes:
        names: Their names, sorted.
        state: The state of each file, see :func:`state_of`, ``int64 (files, 4)``.
    """

    names: list[str]
    state: NDArray[np.int64]


def listing(folder: Path) -> Listing:
    """List the ``*.json`` files of a folder.

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
    """Return a file's size, times of modification and of change in nanoseconds, and number; zeros if it is gone."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0, 0
    # Some file systems use more than 63 bits for the number.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & (2**63 - 1)
