"""Records of several people in one folder: whatever is not there yet is added, and nothing that is there changes."""

from __future__ import annotations

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
    """What became of one record that came in.

    Attributes:
        what: ``taken``; ``there`` if the very same was; ``certified`` if only its certificate was new and was added; or
            ``refused``.
        run_id: Its name where it is now; empty if it was refused.
        record: The record; None if it was refused.
        rivals: Other records of the same run, which stay as they are.
        notes: What the user should know of it.
        refused: Why the record, or its samples, were not taken.
    """

    what: Literal["taken", "there", "certified", "refused"]
    run_id: str = ""
    record: RunResult | None = None
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""

    @property
    def needs_attention(self) -> bool:
        """Tell whether something was refused, or disagrees with what was there."""
        return bool(self.refused) or any(rival.disagrees for rival in self.rivals)


class Receiver:
    """A folder of records that takes in those of others.

    Args:
        results: The folder, made when the first record comes in, or a place that machines share.
        dry_run: Say what would happen, and write nothing.
        certificates: Add the certificate of an incoming record to the same record without one, where otherwise both
            are kept.
        warn: Hears of records in the folder that are damaged, with which nothing is compared.
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
        for record in sorted(self.store.read(warn) if results.is_dir() else (), key=_age):
            if faults := record_faults(record):
                warn(f"skipped {record.run_id} in {results}: {'; '.join(faults)}")
            else:
                self._runs[record.spec.run_id()].append(record)

    def receive(self, record: RunResult, beside: Path | None) -> Outcome:
        """Take in a sound record, with its samples from the folder `beside` if that has any.

        Raises:
            DataError: The disk is full or read-only; whatever is there is unchanged.
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
        # Its name elsewhere may be a repeat's; here it is the first that is free.
        plain = record.model_copy(update={"run_id": record.spec.run_id()})
        if not self.dry_run:
            self.store.prepare()
            return self.store.write(plain)[0]
        names = {path.stem for path in self.store.folder.glob("*.json")}
        names |= {each.run_id for each in self._runs[plain.run_id]}
        free = plain.run_id
        attempt = 1
        while free in names:
            attempt += 1
            free = f"{plain.run_id}-{attempt}"
        return plain.model_copy(update={"run_id": free})

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
                notes += self._samples(named, record, beside)
            except DataError as error:
                refused = str(error)
        return Outcome(
            what=what, run_id=named.run_id, record=record, rivals=rivals, notes=tuple(notes), refused=refused
        )

    def _samples(self, named: RunResult, record: RunResult, beside: Path) -> Iterator[str]:
        target = self.store.samples(named.run_id)
        if target in self._kept or target.exists():
            return
        samples = read_incoming_samples(beside, record)
        if samples is not None:
            self._kept.add(target)
            if not self.dry_run:
                self.store.keep(named.run_id, samples)
            yield "with samples"


def merge(receiver: Receiver, folders: Sequence[Path]) -> Iterator[tuple[Path, Outcome]]:
    """Take in the records of `folders`, each with the file it came from; a folder's own in the order they were made.

    Raises:
        SpecError: A folder is not one, holds no records, or is the receiver's own; before anything is taken in.
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
        raise SpecError(f"{folder} is not a folder; expected one with records, such as results")
    if results.is_dir() and folder.samefile(results):
        raise SpecError(f"{folder} is the folder that takes the records in; name others")
    if not any(folder.glob("*.json")):
        inner = folder / "results"
        hint = f"; did you mean {inner}?" if any(inner.glob("*.json")) else ""
        raise SpecError(f"no records in {folder}{hint}")


def _notes(record: RunResult) -> Iterator[str]:
    if record.status != "completed":
        yield f"a run that {'failed' if record.status == 'failed' else 'was interrupted'}"
    elif record.verdict is None:
        yield f"no certificate: `robench certify {record.run_id}` makes one"
    elif record.verdict == "fail":
        yield f"its certificate says FAIL: {'; '.join(failures(record))}"
