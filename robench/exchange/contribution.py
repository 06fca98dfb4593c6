"""What a record needs to be submitted, and what a pull request may change in a folder of records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from robench.errors import DataError
from robench.evidence.verify import Fault, faults_of_stranger
from robench.exchange.incoming import read_incoming, read_incoming_samples
from robench.records.record import RunResult
from robench.records.samples import MOST_BYTES
from robench.storage.plain_file import read_plain

RECORD = re.compile(r"[0-9a-f]{12}(-[0-9]+)?\.json")
SAMPLES = re.compile(r"samples/([0-9a-f]{12}(-[0-9]+)?)\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The difference between a folder of records and an earlier copy.

    Attributes:
        added: New records that may be submitted; their certificates may say fail.
        faults: Every other change, except new samples of records.
    """

    added: tuple[RunResult, ...]
    faults: tuple[Fault, ...]


def unfit(record: RunResult, *, allow_fail: bool) -> list[str]:
    """Return why a record cannot be submitted; nothing if it can.

    Args:
        allow_fail: Accept a certificate that says fail; a defence that cannot be trusted is a finding too.
    """
    if record.status != "completed":
        return [f"it is {record.status}; only completed runs can be submitted"]
    if faults := faults_of_stranger(record):
        return faults
    if record.verdict is None:
        return [f"it has no certificate; `robench certify {record.run_id}` makes one"]
    reasons = []
    if record.verdict == "incomplete":
        missed = [
            check for check in record.checks if check.verdict in ("incomplete", "skipped") or check.name == "checks"
        ]
        what = "; ".join(f"{check.name}: {check.reason}" for check in missed)
        reasons.append(f"its certificate is incomplete ({what}); `robench certify {record.run_id}` makes another")
    covered = {check.attack for check in record.checks}
    if missing := [label for label in ("", *(score.label for score in record.attacks)) if label not in covered]:
        reasons.append(f"its certificate says nothing about {', '.join(label or 'the network' for label in missing)}")
    if not allow_fail:
        reasons += [f"its certificate says fail, and --allow-fail was not given: {found}" for found in failures(record)]
    return reasons


def failures(record: RunResult) -> list[str]:
    """Return the checks that a record failed, with their reasons."""
    return [f"{check.name}: {check.reason}" for check in record.checks if check.verdict == "fail"]


def local_paths(record: RunResult) -> list[str]:
    """Return the absolute paths in the command of a record; other machines do not have them."""
    return re.findall(r"(?<![\w.:/~])[~/][^\s'\",]+", record.provenance.command)


def changes(results: Path, since: Path) -> Changes:
    """Compare `results` with `since`, an earlier copy; only adding records is allowed."""
    then, now = _files(since), _files(results)
    added: list[RunResult] = []
    faults: list[Fault] = []
    for name, before in then.items():
        after = now.pop(name, None)
        if after is None:
            faults.append(Fault(path=results / name, reason="was there and is gone; records must not be removed"))
        elif _content(after) != _content(before):
            faults.append(Fault(path=after, reason="was there and is changed; a repeat needs a new name"))
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


def _content(path: Path) -> bytes | Path | str:
    if path.is_symlink():
        return path.readlink()
    try:
        return read_plain(path, MOST_BYTES)
    except OSError as error:  # a pipe or a device, which is a fault of its own
        return str(error.strerror or error)


def _files(folder: Path) -> dict[str, Path]:
    """Return every file below `folder` by its relative path; links are listed, not followed."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path for path in paths}
