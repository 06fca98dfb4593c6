"""What a record needs to be offered to others, and what a pull request may do to a folder of records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from robench.errors import DataError
from robench.evidence.verify import Fault, record_faults
from robench.exchange.incoming import read_incoming, read_incoming_samples
from robench.records.record import RunResult

RECORD = re.compile(r"[0-9a-f]{12}(-[0-9]+)?\.json")
SAMPLES = re.compile(r"samples/([0-9a-f]{12}(-[0-9]+)?)\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a folder of records has against an earlier copy of itself.

    Attributes:
        added: New records that are fit to be offered; their certificates may say fail.
        faults: Everything else, but for the samples of records.
    """

    added: tuple[RunResult, ...]
    faults: tuple[Fault, ...]


def unfit(record: RunResult, *, allow_fail: bool) -> list[str]:
    """Return why a record cannot be offered to others; nothing for one that can.

    Args:
        allow_fail: Take a certificate that says fail: that a defence cannot be believed is a finding too.
    """
    if record.status != "completed":
        return [f"it is {record.status}; only completed runs are offered"]
    if faults := record_faults(record):
        return faults
    if record.verdict is None:
        return [f"it has no certificate; `robench certify {record.run_id}` makes one"]
    reasons = []
    covered = {check.attack for check in record.checks}
    if missing := [label for label in ("", *(score.label for score in record.attacks)) if label not in covered]:
        reasons.append(f"its certificate says nothing of {', '.join(label or 'the network' for label in missing)}")
    if not allow_fail:
        reasons += [f"its certificate says fail, and --allow-fail was not given: {found}" for found in failures(record)]
    return reasons


def failures(record: RunResult) -> list[str]:
    """Return the checks that a record failed, with their reasons."""
    return [f"{check.name}: {check.reason}" for check in record.checks if check.verdict == "fail"]


def local_paths(record: RunResult) -> list[str]:
    """Return the absolute paths in the command of a record, which mean nothing on another machine."""
    return re.findall(r"(?<![\w.:/~])[~/][^\s'\",]+", record.provenance.command)


def changes(results: Path, since: Path) -> Changes:
    """Return what was done to `results`, of which `since` is an earlier copy; only adding records is right."""
    then, now = _files(since), _files(results)
    added: list[RunResult] = []
    faults: list[Fault] = []
    for name, before in then.items():
        after = now.pop(name, None)
        if after is None:
            faults.append(Fault(path=results / name, reason="was there and is gone; records are never removed"))
        elif _content(after) != _content(before):
            faults.append(Fault(path=after, reason="was there and is changed; a repeat gets a name of its own"))
    for name, path in now.items():
        try:
            if samples := SAMPLES.fullmatch(name):
                read_incoming_samples(results, read_incoming(results / f"{samples[1]}.json"))
            elif RECORD.fullmatch(name):
                record = read_incoming(path)
                if reasons := unfit(record, allow_fail=True):
                    raise DataError("; ".join(reasons))
                added.append(record)
            else:
                raise DataError("is neither a record nor samples of one")
        except DataError as error:
            faults.append(Fault(path=path, reason=str(error).removeprefix(f"{path}: ")))
    return Changes(added=tuple(added), faults=tuple(faults))


def _content(path: Path) -> bytes | Path:
    return path.readlink() if path.is_symlink() else path.read_bytes()


def _files(folder: Path) -> dict[str, Path]:
    """Return all that is in `folder` and is no folder, by its path in it; links are not followed."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path for path in paths}
