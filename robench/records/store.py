"""Records on disk: one JSON file a run, written whole or not at all, never overwritten."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from robench.errors import DataError
from robench.records.record import RunResult

if TYPE_CHECKING:
    from robench.records.samples import Samples


class Store:
    """The folder of records, such as ``results/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder and prove that it can be written to, before a run spends time.

        Raises:
            DataError: It cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as probe:
                probe.write(b"robench")
        except OSError as error:
            raise DataError(f"cannot write results to {self.folder}: {error.strerror}; pass --results DIR") from None

    def refresh(self) -> None:
        """Bring `folder` up to date, where it holds copies."""

    def read(self, warn: Callable[[str], None], wanted: Callable[[str], bool] = lambda name: True) -> list[RunResult]:
        """Return all records, oldest first; a damaged one is named to `warn` and left as it is.

        Args:
            warn: Is told which files are damaged, and how.
            wanted: Tells by its name whether a file is to be read; of thousands, few are.

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
        """Return the latest completed record of the spec whose hash is `run_id`, if there is one."""
        found = map(_completed_in, self.folder.glob(f"{run_id}*.json"))
        completed = [record for record in found if record is not None]
        return max(completed, key=lambda record: record.provenance.started, default=None)

    def write(self, result: RunResult, *, once: bool = False) -> tuple[RunResult, Path]:
        """Write `result` under a name not yet taken and return it, with its final ``run_id``, and its path.

        Args:
            once: If a completed record of the run is met there, return that one and write nothing. Names are taken in
                order and each by one process, so that a run is never recorded twice, whoever else carries it out.

        Raises:
            DataError: The disk is full or read-only; nothing that was there is touched.
        """
        attempt = 1
        base = result.run_id
        while True:
            run_id = base if attempt == 1 else f"{base}-{attempt}"
            named = result.model_copy(update={"run_id": run_id})
            path = self.folder / f"{run_id}.json"
            try:
                self._create(path, named.model_dump_json(indent=1) + "\n")
            except FileExistsError:
                if once and (there := _completed_in(path)) is not None:
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
        """Return where the samples of a run are, if they are kept."""
        from robench.records.samples import samples_path

        return samples_path(self.folder, run_id)

    def add_certificate(self, result: RunResult) -> Path:
        """Put `result`, a record from this folder with a certificate, in the place of the one without, and return it.

        Raises:
            DataError: Anything but the certificate and the labels differs, or the disk is full or read-only; the record
                stays as it was.
        """
        path = self.folder / f"{result.run_id}.json"
        if measured(read_record(path)) != measured(result):
            raise DataError(f"{path}: a certificate cannot change what was measured")
        try:
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(result.model_dump_json(indent=1) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(path.stat().st_mode)
                Path(temporary).replace(path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot save {path}: {error.strerror}; the record is unchanged") from None
        return path

    def write_or_rescue(self, result: RunResult, rescue: Path, *, once: bool = False) -> RunResult:
        """Write `result` and return it with its final ``run_id``; if that fails, save it in the folder `rescue`.

        Args:
            once: As of :meth:`write`.

        Raises:
            DataError: It could not be saved where it belongs; the message says where it is instead.
        """
        try:
            return self.write(result, once=once)[0]
        except DataError as error:
            lifeboat = Store(rescue)
            lifeboat.prepare()
            _, path = lifeboat.write(result)
            raise DataError(f"{error}; this run's record is in {path}") from None


def _completed_in(path: Path) -> RunResult | None:
    with contextlib.suppress(DataError):  # damaged: the run is simply done again, under a new name
        record = read_record(path)
        return record if record.status == "completed" else None
    return None


def measured(result: RunResult) -> dict[str, Any]:
    """Return all of a record but its certificate and what was added with it, the labels."""
    content = result.model_dump(exclude={"checks", "checked"})
    for data in (content["data"], *(found["data"] for found in content["elsewhere"])):
        data.pop("labels")
    return content


def write_new(path: Path, text: str) -> None:
    """Write a new file completely or not at all, also when killed half-way.

    Raises:
        FileExistsError: `path` is taken; it is left as it is.
        OSError: The disk is full or read-only.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a record is as public as the folder it lies in.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        # A hard link, unlike a rename, refuses to replace a file that another process wrote meanwhile.
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: reserve the name, then fill it
            path.open("x").close()
            Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_record(path: Path) -> RunResult:
    """Read and validate one record.

    Raises:
        DataError: It cannot be read, is not a record, or its name is not its run's.
    """
    try:
        result = RunResult.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: not a valid record: {where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if path.stem != result.run_id:
        raise DataError(f"{path}: holds run {result.run_id}, which its name does not say")
    return result
