"""The folder of records: one JSON file a run, written completely or not at all, and never overwritten."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from robench.errors import DataError
from robench.records.limits import MOST_BYTES
from robench.records.record import RunResult
from robench.storage.location import make_writable
from robench.storage.plain_file import parse_json, read_plain
from robench.storage.whole_file import remove_abandoned, whole_file, write_new, write_to_disk

if TYPE_CHECKING:
    from robench.records.samples import Samples


class UnsavedError(DataError):
    """A record could not be saved anywhere; `result` is all there is of it."""

    def __init__(self, message: str, result: RunResult) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class Store:
    """The folder of records, such as ``results/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swept = False

    def sweep(self) -> None:
        """Remove the unfinished files of processes that were killed."""
        from robench.records.samples import samples_path

        for folder in (self.folder, samples_path(self.folder, "").parent):
            remove_abandoned(folder)
        self._swept = True

    def prepare(self) -> None:
        """Make the folder and check that it can be written to, before a run spends time.

        Raises:
            DataError: The folder cannot be made or written to.
        """
        try:
            make_writable(self.folder)
            if not self._swept:
                self.sweep()
        except OSError as error:
            raise DataError(f"cannot write results to {self.folder}: {error.strerror}; pass --results DIR") from None

    def refresh(self) -> None:
        """Update `folder`, if it holds copies of records elsewhere."""

    def read(self, warn: Callable[[str], None], wanted: Callable[[str], bool] = lambda name: True) -> list[RunResult]:
        """Return all records, oldest first, except damaged ones.

        Args:
            warn: Is told which files are damaged, and how.
            wanted: Whether to read the file of this name; use it to read few of thousands.

        Raises:
            DataError: The folder does not exist.
        """
        if not self.folder.is_dir():
            raise DataError(f"no results at {self.folder}; run `robench run` first or pass --results DIR")
        records = []
        for path in sorted(path for path in self.folder.glob("*.json") if wanted(path.name)):
            try:
                records.append(read_record(path))
            except DataError as error:
                warn(f"skipped {error}")
        return sorted(records, key=lambda record: record.provenance.started)

    def completed(self, run_id: str) -> RunResult | None:
        """Return the latest completed record of the run `run_id`, or None."""
        return next(iter(self.repeats(run_id)), None)

    def repeats(self, run_id: str) -> list[RunResult]:
        """Return all completed records of the run `run_id`, the latest first."""
        found = map(_completed_in, self.folder.glob(f"{run_id}*.json"))
        completed = [record for record in found if record is not None and record.spec.run_id() == run_id]
        return sorted(completed, key=lambda record: record.provenance.started, reverse=True)

    def mentioning(self, texts: Iterable[str]) -> list[RunResult]:
        """Return all completed records in whose files one of `texts` stands, the latest first."""
        wanted = [text.encode() for text in texts]
        paths = [path for path in self.folder.glob("*.json") if wanted and _mentions(path, wanted)]
        completed = [record for record in map(_completed_in, paths) if record is not None]
        return sorted(completed, key=lambda record: record.provenance.started, reverse=True)

    def write(
        self,
        result: RunResult,
        *,
        once: bool = False,
        same: Callable[[RunResult], bool] = lambda record: True,
    ) -> tuple[RunResult, Path]:
        """Write `result` under the first free name, and return it with its final ``run_id`` and its path.

        Args:
            once: If there is a completed record of the run already, return that one and write nothing. Names are taken
                in order and each by one process, so that no run is recorded twice, even if two processes carry it out.
            same: With `once`, whether a record there stands for `result`; by default any does.

        Raises:
            DataError: The disk is full or read-only; the records already there are unchanged.
        """
        attempt = 1
        base = result.run_id
        while True:
            run_id = base if attempt == 1 else f"{base}-{attempt}"
            named = result.model_copy(update={"run_id": run_id})
            path = self.folder / f"{run_id}.json"
            try:
                self._create(path, as_text(named))
            except FileExistsError:
                if once and (there := _completed_in(path)) is not None and same(there):
                    return there, path
                attempt += 1
                continue
            except OSError as error:
                raise DataError(f"cannot save {path}: {error.strerror}; records already there are unchanged") from None
            return named, path

    def _create(self, path: Path, text: str) -> None:
        write_new(path, text)

    def keep(self, run_id: str, samples: Samples) -> None:
        """Save the samples of a run beside its record.

        Raises:
            DataError: The disk is full or read-only.
        """
        samples.save(self.samples(run_id))

    def samples(self, run_id: str) -> Path:
        """Return the file of the samples of a run, whether or not it exists."""
        from robench.records.samples import samples_path

        return samples_path(self.folder, run_id)

    def add_certificate(self, result: RunResult) -> Path:
        """Replace a record without a certificate by `result`, the same with one, and return its path.

        Raises:
            DataError: More than the certificate and the labels differs, or the disk is full or read-only. The record
                stays as it was.
        """
        path = self.folder / f"{result.run_id}.json"
        if measured(read_record(path)) != measured(result):
            raise DataError(f"{path}: the record with the certificate has other measurements; expected the same ones")
        try:
            with whole_file(path) as temporary:
                write_to_disk(temporary, as_text(result))
                temporary.chmod(path.stat().st_mode)
        except OSError as error:
            raise DataError(f"cannot save {path}: {error.strerror}; the record is unchanged") from None
        return path

    def write_or_rescue(
        self,
        result: RunResult,
        rescue: Path,
        *,
        once: bool = False,
        same: Callable[[RunResult], bool] = lambda record: True,
    ) -> RunResult:
        """Write `result` and return it with its final ``run_id``; if that fails, save it in the folder `rescue`.

        Args:
            once: As in :meth:`write`; so is `same`.

        Raises:
            DataError: It was saved in `rescue`; the message names the file.
            UnsavedError: It could not be saved anywhere; the error has the record, and its message the figures.
        """
        try:
            return self.write(result, once=once, same=same)[0]
        except DataError as error:
            lifeboat = Store(rescue)
            try:
                lifeboat.prepare()
                _, path = lifeboat.write(result)
            except DataError as second:
                raise UnsavedError(f"{error}; {second}; {_figures(result)}", result) from None
            raise DataError(f"{error}; this run's record is in {path}") from None


def _figures(result: RunResult) -> str:
    """Return the figures of a run in one line, in percent, to be read where nothing can be saved."""
    if result.status != "completed" or result.clean is None:
        why = f": {result.error.message}" if result.error else ""
        return f"run {result.run_id} {result.status}{why}"
    scores = [("clean", result.clean), *((score.label, score) for score in result.attacks)]
    figures = ", ".join(f"{name} {100 * score.accuracy:.2f} (n={score.n})" for name, score in scores)
    return f"figures of run {result.run_id}: {figures}"


def _completed_in(path: Path) -> RunResult | None:
    with contextlib.suppress(DataError):  # a damaged record counts as none, so the run is repeated under a new name
        record = read_record(path)
        return record if record.status == "completed" else None
    return None


def _mentions(path: Path, texts: Iterable[bytes]) -> bool:
    try:
        content = read_plain(path, MOST_BYTES)
    except OSError:
        return False
    return any(text in content for text in texts)


def measured(result: RunResult) -> dict[str, Any]:
    """Return a record as plain values, without its certificate and the labels that are added with it."""
    content = result.model_dump(exclude={"checks", "checked"})
    for data in (content["data"], *(found["data"] for found in content["elsewhere"])):
        data.pop("labels")
    return content


def as_text(result: RunResult) -> str:
    """Return the text of the file of a record."""
    return result.model_dump_json(indent=1) + "\n"


def read_record(path: Path) -> RunResult:
    """Read and validate one record.

    Raises:
        DataError: The file cannot be read, is not a record, or is not named after its run.
    """
    try:
        content = read_plain(path, MOST_BYTES)
        result = RunResult.model_validate_json(content)
        parse_json(content)  # pydantic takes the last of two keys
    except ValidationError as error:
        raise DataError(f"{path}: not a valid record: {first_fault(error)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: not a valid record: {error}") from None
    if path.stem != result.run_id:
        raise DataError(f"{path}: holds run {result.run_id}; expected the name {result.run_id}.json")
    return result


def first_fault(error: ValidationError) -> str:
    """Return the first fault that was found in a record, in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":  # of a reason such as "unexpected end" only the place helps
        return f"it is not JSON{first['msg'][first['msg'].rfind(' at line') :]}"
    where = ".".join(str(part)[:80] for part in first["loc"][:12]) or "the file"
    return f"{where}: {first['msg'].removeprefix('Value error, ')[:400]}"
