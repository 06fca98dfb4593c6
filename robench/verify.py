"""Check again what is on disk: every record against itself, every cached set against its hash."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robench.cache import hash_images
from robench.errors import DataError
from robench.records import AttackScore, RunResult, Score
from robench.store import read_record
from robench.types import parse_radius
from robench.worst_case import worst_cases


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file and what is wrong with it."""

    path: Path
    reason: str


def verify_records(folder: Path) -> tuple[int, list[Fault]]:
    """Return the number of records in `folder` and their faults.

    Checked are the schema, the identity (the hash of the spec is the file's name), that per-image results add up to the
    counts, that attacks are those asked for and stayed within their balls, and that worst cases follow from them.
    """
    paths, faults = sorted(folder.glob("*.json")), []
    for path in paths:
        try:
            faults += [Fault(path=path, reason=reason) for reason in _record(read_record(path))]
        except DataError as error:
            faults.append(Fault(path=path, reason=str(error).removeprefix(f"{path}: ")))
    return len(paths), faults


def verify_cache(folder: Path) -> tuple[int, list[Fault]]:
    """Return the number of adversarial sets in the cache `folder` and their faults; every byte is read."""
    paths = sorted(path for path in (folder / "adversarial").glob("*") if path.is_dir() and "." not in path.name)
    paths = [path for path in paths if not path.name.startswith("damaged-")]
    faults = []
    for path in paths:
        try:
            meta = json.loads((path / "meta.json").read_text())
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            if hash_images(images) != meta["sha256"]:
                faults.append(Fault(path=path, reason="its bytes do not match its hash"))
        except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
            faults.append(Fault(path=path, reason=f"{type(error).__name__}: {error}"))
    return len(paths), faults


def quarantine(faults: Iterable[Fault]) -> dict[Path, Path]:
    """Move each faulty file, or folder of a cached set, into a new folder ``damaged-*`` beside it.

    Nothing is deleted; what was there is made again when it is asked for.

    Returns:
        Where each is now.

    Raises:
        DataError: A folder cannot be written to.
    """
    moved: dict[Path, Path] = {}
    for path in dict.fromkeys(fault.path for fault in faults):
        try:
            aside = Path(tempfile.mkdtemp(dir=path.parent, prefix="damaged-")) / path.name
            path.replace(aside)
        except OSError as error:
            raise DataError(f"cannot move {path} aside: {error.strerror}; it is unchanged") from None
        moved[path] = aside
    return moved


def _record(record: RunResult) -> Iterator[str]:
    if record.status != "completed" or record.clean is None:
        return
    spec = record.spec
    if record.clean.n != spec.test_size:
        yield f"clean accuracy is of {record.clean.n} images; {spec.test_size} were asked for"
    yield from _attacks(record, record.clean, record.attacks)
    if record.worst_case != worst_cases(record.clean, list(record.attacks)):
        yield "its worst case does not follow from its attacks"
    for found in record.elsewhere:
        yield from _attacks(record, found.clean, found.attacks)


def _attacks(record: RunResult, clean: Score, attacks: tuple[AttackScore, ...]) -> Iterator[str]:
    asked = [(attack.label, attack.n) for attack in record.spec.attacks]
    if [(score.label, score.n) for score in attacks] != asked:
        yield f"its attacks are not those asked for: {asked}"
    for score in attacks:
        if score.largest_norm > float(parse_radius(score.eps)) + 1e-9:
            yield f"{score.label} changed a pixel by {255 * score.largest_norm:.4g}/255, beyond {score.eps}"
        if score.n > clean.n:
            yield f"{score.label} attacked {score.n} images, of which {clean.n} are scored clean"
