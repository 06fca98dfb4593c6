"""Records and samples of other people, checked as they are read."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from robench.errors import DataError
from robench.evidence.verify import faults_of_stranger
from robench.records.record import RunResult
from robench.records.samples import Samples, read_samples, samples_path
from robench.records.store import read_record


def read_incoming(path: Path) -> RunResult:
    """Read a record that somebody else made.

    Raises:
        DataError: It is not a regular file, cannot be read, or is not intact.
    """
    _require_plain(path)
    record = read_record(path)
    if faults := faults_of_stranger(record):
        raise DataError(f"{path}: {'; '.join(faults)}")
    return record


def read_incoming_samples(folder: Path, record: RunResult) -> Samples | None:
    """Read the samples of a completed record in `folder`; None if there are none.

    Raises:
        DataError: They are not a regular file, cannot be read, or belong to another record.
    """
    path = samples_path(folder, record.run_id)
    if not path.is_symlink() and not path.exists():
        return None
    if path.parent.is_symlink():
        raise DataError(f"{path.parent}: is a link, and is not followed")
    _require_plain(path)
    samples = read_samples(path, record)
    pairs = [(samples.predictions, record.clean)]
    pairs += [(taken.predictions, score) for taken, score in zip(samples.attacks, record.attacks, strict=True)]
    for found, score in pairs:
        if score is None or not np.array_equal(found == samples.labels[: len(found)], score.mask()):
            raise DataError(f"{path}: does not hold the predictions of its record")
    return samples


def _require_plain(path: Path) -> None:
    """Refuse links, which may lead anywhere, and pipes, which may never end.

    Raises:
        DataError: `path` is no regular file.
    """
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: is not a regular file")
