"""Check that files are intact: every record against itself, every cached adversarial set against its hash."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from robench.contracts.types import parse_radius
from robench.errors import DataError
from robench.records.record import AttackScore, AttackSpec, DataRecord, RunResult, RunSpec, Score, WorstCase
from robench.records.store import read_record
from robench.statistics.worst_case import worst_cases
from robench.storage.adversarial_cache import hash_images


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file and what is wrong with it."""

    path: Path
    reason: str


def verify_records(folder: Path) -> tuple[int, list[Fault]]:
    """Return the number of records in `folder` and their faults.

    Checks that a record follows the schema; that its name is the hash of its spec; that per-image results add up to the
    counts; that the attacks are those asked for and stayed within their radius; and that the worst case follows from
    the attacks.
    """
    paths, faults = sorted(folder.glob("*.json")), []
    for path in paths:
        try:
            faults += [Fault(path=path, reason=reason) for reason in record_faults(read_record(path))]
        except DataError as error:
            faults.append(Fault(path=path, reason=str(error).removeprefix(f"{path}: ")))
    return len(paths), faults


def verify_cache(folder: Path) -> tuple[int, list[Fault]]:
    """Return the number of adversarial sets in the cache `folder` and their faults; every byte is read."""
    folders = sorted(path for path in (folder / "adversarial").glob("*") if path.is_dir() and "." not in path.name)
    paths = [path for path in folders if not path.name.startswith("damaged-")]
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
    """Move each faulty record or cached set into a new folder ``damaged-*`` beside it, and return where each is now.

    Nothing is deleted. The record or set is made again when it is next needed.

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


def record_faults(record: RunResult) -> list[str]:
    """Return what is wrong in a record; nothing for an intact one, or one that did not complete."""
    if not _is_finite(record):
        return ["it holds a number that is not finite"]
    return list(_faults(record))


def _faults(record: RunResult) -> Iterator[str]:
    if record.status != "completed" or record.data is None or record.clean is None:
        return
    asked = [(other.name, other.params) for other in record.spec.eval_datasets]
    if [(found.dataset.name, found.dataset.params) for found in record.elsewhere] != asked:
        yield f"its other datasets are not those asked for: {asked}"
    yield from _scores(record.spec, record.data, record.clean, record.attacks, record.worst_case)
    for found in record.elsewhere:
        yield from _scores(record.spec, found.data, found.clean, found.attacks, found.worst_case)


def _scores(
    spec: RunSpec, data: DataRecord, clean: Score, attacks: tuple[AttackScore, ...], worst: tuple[WorstCase, ...]
) -> Iterator[str]:
    if clean.n != spec.test_size:
        yield f"clean accuracy is on {clean.n} images; {spec.test_size} were asked for"
    counts = data.test_counts
    if counts is not None and (sum(counts) != clean.n or len(counts) != len(data.class_names)):
        yield f"it counts {sum(counts)} images in {len(counts)} classes; {clean.n} are scored"
    asked = [(attack.label, attack.n) for attack in spec.attacks]
    if [(score.label, score.n) for score in attacks] != asked:
        yield f"its attacks are not those asked for: {asked}"
        return
    try:
        for attack, score in zip(spec.attacks, attacks, strict=True):
            yield from _attack(attack, score, clean)
        if worst != worst_cases(clean, list(attacks)):
            yield "its worst case does not follow from its attacks"
    except ValueError as error:
        yield str(error)


def _attack(attack: AttackSpec, score: AttackScore, clean: Score) -> Iterator[str]:
    radius = _radius(score.eps)
    norm, eps = (attack.params.get(key, getattr(score, key)) for key in ("norm", "eps"))
    if (score.norm, radius) != (norm, _radius(eps)):
        yield f"{score.label} was scored at {score.norm} {score.eps}; {norm} {eps} was asked for"
    if (attack.surrogate is None) != (score.surrogate is None):
        yield f"{score.label} was made on a network that was not asked for"
    if not 0 <= score.largest_norm <= float(radius) + 1e-9:
        yield f"{score.label} changed a pixel by {255 * score.largest_norm:.4g}/255, beyond {score.eps}"
    if score.n > clean.n:
        yield f"{score.label} attacked {score.n} images, but only {clean.n} are scored clean"


def _radius(value: object) -> Fraction:
    if not re.fullmatch(r"[\d.]{1,30}(/\d{1,30})?(e-\d\d)?", str(value), re.ASCII):  # 1e999999999 would take forever
        raise ValueError(f"{str(value)[:40]!r} is not a radius such as 8/255")
    return parse_radius(value)


def _is_finite(record: RunResult) -> bool:
    """Tell whether JSON, which has no NaN and no infinity, can hold the record."""
    try:
        return RunResult.model_validate_json(record.model_dump_json()) == record
    except ValidationError:
        return False
