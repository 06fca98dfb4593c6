"""Records and samples of other people, checked as they are read."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from robench.errors import DataError
from robench.evidence.verify import record_faults
from robench.records.record import RunResult, Score
from robench.records.samples import Samples, samples_path
from robench.records.store import read_record


def read_incoming(path: Path) -> RunResult:
    """Read a record that somebody else made.

    Raises:
        DataError: It is not a regular file, cannot be read, or is not intact.
    """
    _require_plain(path)
    record = read_record(path)
    if faults := record_faults(record):
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
    samples = Samples.load(path)
    if not _belong(samples, record):
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


def _belong(samples: Samples, record: RunResult) -> bool:
    """Tell whether `samples` have the shapes that figures need, and are right on the same images as the record."""
    if record.clean is None or [each.label for each in samples.attacks] != [each.label for each in record.attacks]:
        return False
    if samples.indices.ndim != 1 or samples.labels.shape != (record.clean.n,):
        return False
    k, fewest = len(samples.indices), min((score.n for score in record.attacks), default=record.clean.n)
    pictures = [samples.clean, *(attack.images for attack in samples.attacks)]
    logits = [samples.logits, *(attack.logits for attack in samples.attacks)]
    shapes = (
        samples.indices.dtype == np.int64,
        not k or 0 <= samples.indices.min() <= samples.indices.max() < fewest,
        all(images.dtype == np.uint8 and images.shape[:2] == (k, 3) and images.ndim == 4 for images in pictures),
        all(values.dtype == np.float32 and values.ndim == 2 and (not k or len(values) == k) for values in logits),
        samples.temperature is None or isinstance(samples.temperature, float),
    )
    pairs: list[tuple[np.ndarray, Score]] = [(samples.predictions, record.clean)]
    pairs += [(taken.predictions, score) for taken, score in zip(samples.attacks, record.attacks, strict=True)]
    return all(shapes) and all(
        predictions.shape == (score.n,) and np.array_equal(predictions == samples.labels[: score.n], score.mask())
        for predictions, score in pairs
    )
