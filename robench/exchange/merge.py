"""Take records of other people into a folder; what is there already never changes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.errors import DataError, SpecError
from robench.evidence.verify import record_faults
from robench.exchange.contribution import failures
from robench.exchange.incoming import read_incoming, read_incoming_samples
from robench.exchange.same_run import Rival, extends, rival, without_name
from robench.records.record import RunResult
from robench.records.shared_store import store_at
from robench.storage.location import Location


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one incoming record.

    Attributes:
        what: ``taken``; ``there`` if the same record was there; ``certified`` if only its certificate was new and was
            added; or ``refused``.
        run_id: Its new name; empty if it was refused.
        record: The record; None if it was refused.
        rivals: Other records of the same run, which stay as they are.
        notes: What the user should know.
        refused: Why the record or its samples were not taken.
    """

    what: Literal["taken", "there", "certified", "refused"]
    run_id: str = ""
    record: RunResult | None = None
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether something was refused, or disagrees with a record that was there."""
        return bool(self.refused) or any(rival.disagrees for rival in self.rivals)


class Receiver:
    """A folder of records that takes in records of others.

    Args:
        results: The folder, made when the first record comes in, or a place that machines share.
        dry_run: Only say what would happen.
        certificates: Add the certificate of an incoming record to the same record without one, instead of keeping both.
        warn: Takes one line for each damaged record in the folder; it is skipped.
    """

    def __init__(
        self,
        results: Location,
        *,
        dry_run: bool = False,
        certificates: bool = False,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.store = store_at(results)
        self.dry_run = dry_run
        self.certificates = certificates
        self._runs: dict[str, list[RunResult]] = defaultdict(list)
        self._kept: set[Path] = set()
        if not dry_run:
            self.store.sweep()
        for record in sorted(self.store.read(warn) if results.is_dir() else (), key=_age):
            if faults := record_faults(record):
                warn(f"skipped {record.run_id} in {results}: {'; '.join(faults)}")
            else:
                self._runs[record.spec.run_id()].append(record)

    def receive(self, record: RunResult, beside: Path | None) -> Outcome:
        """Take in an intact record, and its samples if the folder `beside` has some.

        Raises:
            DataError: The disk is full or read-only; what is there is unchanged.
        """
        known = self._runs[record.spec.run_id()]
        alike = [each for each in known if without_name(each) == without_name(record)]
        if alike:
            return self._outcome("there", alike[0], record, beside)
        if self.certificates:
            for number, each in enumerate(known):
                if extends(each, record):
                    return self._outcome("there", each, record, beside)
                if extends(record, each):
                    known[number] = certified = record.model_copy(update={"run_id": each.run_id})
                    if not self.dry_run:
                        self.store.add_certificate(certified)
                    return self._outcome("certified", certified, record, beside)
        named = self._added(record)
        rivals = tuple(rival(each, record) for each in known if each.status == record.status == "completed")
        known.append(named)
        return self._outcome("taken", named, record, beside, rivals)

    def _added(self, record: RunResult) -> RunResult:
        """Write a record under the first free name of its run, and return it with that name."""
        plain = record.model_copy(update={"run_id": record.spec.run_id()})
        if not self.dry_run:
            self.store.prepare()
            return self.store.write(plain)[0]
        names = {path.stem for path in self.store.folder.glob("*.json")}
        names |= {each.run_id for each in self._runs[plain.run_id]}
        candidates = itertools.chain([plain.run_id], (f"{plain.run_id}-{number}" for number in itertools.count(2)))
        return plain.model_copy(update={"run_id": next(name for name in candidates if name not in names)})

    def _outcome(
        self,
        what: Literal["taken", "there", "certified"],
        named: RunResult,
        record: RunResult,
        beside: Path | None,
        rivals: tuple[Rival, ...] = (),
    ) -> Outcome:
        notes = [] if what == "there" else list(_notes(named))
        refused = ""
        if beside is not None and record.status == "completed":
            try:
                notes += ["with samples"] if self._take_samples(named.run_id, record, beside) else []
            except DataError as error:
                refused = str(error)
        return Outcome(
            what=what, run_id=named.run_id, record=record, rivals=rivals, notes=tuple(notes), refused=refused
        )

    def _take_samples(self, run_id: str, record: RunResult, beside: Path) -> bool:
        """Take in the samples of `record` under the name `run_id`; return False if there are none, or some already."""
        target = self.store.samples(run_id)
        if target in self._kept or target.exists() or (samples := read_incoming_samples(beside, record)) is None:
            return False
        self._kept.add(target)
        if not self.dry_run:
            self.store.keep(run_id, samples)
        return True


def merge(receiver: Receiver, folders: Sequence[Path]) -> Iterator[tuple[Path, Outcome]]:
    """Take in the records of `folders`, oldest first in each, and yield each file with what became of it.

    Raises:
        SpecError: A folder does not exist, holds no records, or is the receiver's own; nothing is taken in.
        DataError: The disk is full or read-only; what is there is unchanged.
    """
    for folder in folders:
        _require_records(folder, receiver.store.folder)
    for folder in folders:
        read: list[tuple[Path, RunResult]] = []
        for path in sorted(folder.glob("*.json")):
            try:
                read.append((path, read_incoming(path)))
            except DataError as error:
                yield path, Outcome(what="refused", refused=str(error))
        for path, record in sorted(read, key=lambda each: _age(each[1])):
            yield path, receiver.receive(record, folder)


def _age(record: RunResult) -> tuple[str, int, str]:
    return record.provenance.started, len(record.run_id), record.run_id  # -10 comes after -9


def _require_records(folder: Path, results: Path) -> None:
    if not folder.is_dir():
        raise SpecError(f"{folder} is not a folder; expected a folder with records, such as results")
    if results.is_dir() and folder.samefile(results):
        raise SpecError(f"{folder} is the folder that takes the records in; name another folder")
    if not any(folder.glob("*.json")):
        inner = folder / "results"
        hint = f"; did you mean {inner}?" if any(inner.glob("*.json")) else ""
        raise SpecError(f"no records in {folder}{hint}")


def _notes(record: RunResult) -> Iterator[str]:
    if record.status != "completed":
        yield f"a run that {'failed' if record.status == 'failed' else 'was interrupted'}"
    elif record.verdict is None:
        yield f"no certificate: `robench certify {record.run_id}` makes one"
    elif record.verdict == "incomplete":
        yield "its certificate is incomplete"
    elif record.verdict == "fail":
        yield f"its certificate says FAIL: {'; '.join(failures(record))}"
