"""Check that files are intact: every record against itself, every cached adversarial set against its hash."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from robench.errors import DataError
from robench.evidence.naming import misleading_labels
from robench.records.consistency import contradictions
from robench.records.limits import radius
from robench.records.record import AttackScore, AttackSpec, RunResult
from robench.records.store import read_record
from robench.statistics.worst_case import worst_cases
from robench.storage.adversarial_cache import read_set


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file and what is wrong with it."""

    path: Path
    reason: str


def verify_records(folder: Path) -> tuple[int, list[Fault]]:
    """Return the number of records in `folder` and their faults.

    Checks that a record follows the schema; that its name is the hash of its spec; that per-image results add up to the
    counts; that the attacks are those asked for and stayed within their radius; that the worst case follows from the
    attacks; and that labels name every parameter that is not its component's default here.
    """
    paths, faults = sorted(folder.glob("*.json")), []
    for path in paths:
        try:
            record = read_record(path)
            wrong = record_faults(record) or list(misleading_labels(record))
            faults += [Fault(path=path, reason=reason) for reason in wrong]
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
            read_set(path)
        except Exception as error:  # as a file raises that robench did not write
            reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            faults.append(Fault(path=path, reason=reason))
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


def faults_of_stranger(record: RunResult) -> list[str]:
    """Return what is wrong in a record that somebody else made: as :func:`record_faults`, and misleading labels."""
    return [*record_faults(record), *misleading_labels(record)]


def _faults(record: RunResult) -> Iterator[str]:
    if record.status != "completed" or record.data is None or record.clean is None:
        return
    if wrong := list(contradictions(record)):
        yield from wrong
        return
    for clean, attacks, worst in (
        (record.clean, record.attacks, record.worst_case),
        *((found.clean, found.attacks, found.worst_case) for found in record.elsewhere),
    ):
        try:
            for attack, score in zip(record.spec.attacks, attacks, strict=True):
                yield from _attack(attack, score)
            if worst != worst_cases(clean, list(attacks)):
                yield "its worst case does not follow from its attacks"
        except ValueError as error:
            yield str(error)


def _attack(attack: AttackSpec, score: AttackScore) -> Iterator[str]:
    allowed = radius(score.eps)
    norm, eps = (attack.params.get(key, getattr(score, key)) for key in ("norm", "eps"))
    if (score.norm, allowed) != (norm, radius(str(eps))):
        yield f"{score.label} was scored at {score.norm} {score.eps}; {norm} {eps} was asked for"
    if (attack.surrogate is None) != (score.surrogate is None):
        yield f"{score.label} was made on a network that was not asked for"
    if not 0 <= score.largest_norm <= float(allowed) + 1e-9:
        size = f"a pixel by {255 * score.largest_norm:.4g}/255"
        if " " in score.eps:  # the radius has a unit of its own
            size = f"an image by {score.largest_norm:.4g}"
        yield f"{score.label} changed {size}, beyond {score.eps}"


def _is_finite(record: RunResult) -> bool:
    """Tell whether JSON, which has no NaN and no infinity, can hold the record."""
    try:
        return RunResult.model_validate_json(record.model_dump_json()) == record
    except ValidationError:
        return False
