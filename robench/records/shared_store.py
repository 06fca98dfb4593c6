"""Records at a URL that machines share: written there first, read from copies on this machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock

from robench.errors import DataError
from robench.records.record import RunResult
from robench.records.store import Store
from robench.storage.location import Location
from robench.storage.shared_folder import Entry, SharedFolder
from robench.storage.whole_file import whole_file

if TYPE_CHECKING:
    from robench.records.samples import Samples

RUNNING = ".running"
"""Folder of the status files of runs under way, beside the records."""


class SharedStore(Store):
    """The records at the URL `place`; they are read from copies in its mirror, which are brought up to date first.

    Every method raises a DataError if the URL cannot be reached.
    """

    def __init__(self, place: SharedFolder) -> None:
        super().__init__(place.mirror)
        self.place = place

    def prepare(self) -> None:
        """Check before a run that records can be written."""
        super().prepare()
        self.place.prepare()

    def refresh(self) -> None:
        """Bring the copies of all records up to date.

        Raises:
            DataError: There are none.
        """
        if not self.fetch():
            raise DataError(f"no results at {self.place}; run `robench run` first or pass --results")

    def read(self, warn: Callable[[str], None], wanted: Callable[[str], bool] = lambda name: True) -> list[RunResult]:
        """Return all records, or those wanted, oldest first; a damaged one is named to `warn` and left unchanged.

        Raises:
            DataError: There are none.
        """
        self.refresh()
        return super().read(warn, wanted)

    def repeats(self, run_id: str) -> list[RunResult]:
        """Return all completed records of the spec whose hash is `run_id`, the latest first."""
        self.fetch(run_id)
        return super().repeats(run_id)

    def keep(self, run_id: str, samples: Samples) -> None:
        """Save the samples of a run beside its record."""
        path = super().samples(run_id)
        samples.save(path)
        self.place.upload(path, self._name(path))

    def samples(self, run_id: str) -> Path:
        """Return where a copy of the samples of a run is, if they are kept."""
        path = super().samples(run_id)
        if not path.exists():
            try:
                self.place.download(self._name(path), path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise DataError(f"cannot save samples to {path}: {error.strerror or error}") from None
        return path

    def add_certificate(self, result: RunResult) -> Path:
        """Replace a record by `result`, the same record with a certificate, and return its path."""
        path = super().add_certificate(result)
        try:
            self.place.upload(path, self._name(path))
        except DataError:
            path.unlink()  # it is not a copy of the record there
            raise
        return path

    def fetch(self, beginning: str = "", *, folder: str = "", anew: bool = False) -> int:
        """Bring the copies of records, or of the JSON files of another folder, up to date.

        Args:
            beginning: Only of names that begin with this.
            folder: Relative to the records.
            anew: Also of those whose copies look up to date.

        Returns:
            How many files there are.
        """
        here = self.folder / folder
        here.mkdir(parents=True, exist_ok=True)
        with FileLock(here / ".lock"):
            found = self.place.entries(folder, beginning).items()
            there = {here / file: entry for file, entry in found if file.endswith(".json") and file[0] != "."}
            changed = {self._name(path): path for path, entry in there.items() if anew or not _is_copy(path, entry)}
            for name, content in self.place.read_all(changed).items():
                _replace(changed[name], content, there[changed[name]].changed)
            for path in set(here.glob(f"{beginning}*.json")) - there.keys():
                path.unlink(missing_ok=True)
        return len(there)

    def fetch_all(self) -> None:
        """Bring all that a page shows up to date: records, their samples, and the status of runs under way.

        Raises:
            DataError: There are no records.
        """
        self.refresh()
        self.fetch_samples()
        self.fetch(folder=RUNNING)

    def follow(self, seconds: float, warn: Callable[[str], None]) -> NoReturn:
        """Fetch all every so many seconds; `warn` hears when the URL cannot be reached."""
        while True:
            time.sleep(seconds)
            try:
                self.fetch_all()
            except DataError as error:
                warn(str(error))

    def fetch_samples(self) -> None:
        """Copy all samples that are not here yet."""
        for name in self.place.entries("samples"):
            self.samples(name.removesuffix(".safetensors"))

    def _create(self, path: Path, text: str) -> None:
        try:
            self.place.create(self._name(path), text.encode())
        except FileExistsError:
            _replace(path, self.place.read(self._name(path)))
            raise
        with contextlib.suppress(OSError):  # the record is saved; a copy can be fetched again
            _replace(path, text.encode())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def store_at(results: Location) -> Store:
    """Return the records in a folder, or at a URL that machines share."""
    return SharedStore(results) if isinstance(results, SharedFolder) else Store(results)


def _is_copy(path: Path, entry: Entry) -> bool:
    """Return whether `path` is a copy of the file as it is now; a copy has the time of the file it is of."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_size == entry.size and abs(found.st_mtime - entry.changed) < 1e-3


def _replace(path: Path, content: bytes, changed: float | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
        if changed is not None:
            os.utime(temporary, (changed, changed))
