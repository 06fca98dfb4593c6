"""Records on a place that machines share: written there first, read from copies on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock

from robench.errors import DataError
from robench.records.record import RunResult
from robench.records.store import Store
from robench.storage.claims import FOLDER
from robench.storage.location import Location
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.records.samples import Samples

MARKS = ".marks"
"""The file of a mirror that tells of which state its copies are."""


class SharedStore(Store):
    """The records at `place`. Whatever reads records reads the copies in its mirror, brought up to date first.

    Every method raises a DataError if the place cannot be reached.
    """

    def __init__(self, place: SharedFolder) -> None:
        super().__init__(place.mirror)
        self.place = place

    def prepare(self) -> None:
        """Prove that the place can be written to, before a run spends time."""
        super().prepare()
        self.place.prepare()

    def refresh(self) -> None:
        """Bring the copies of all records up to date.

        Raises:
            DataError: There are none.
        """
        self._require(self.fetch())

    def read(self, warn: Callable[[str], None], wanted: Callable[[str], bool] = lambda name: True) -> list[RunResult]:
        """Return all records, or those wanted, oldest first; a damaged one is named to `warn` and left as it is.

        Raises:
            DataError: There are none.
        """
        self.refresh()
        return super().read(warn, wanted)

    def completed(self, run_id: str) -> RunResult | None:
        """Return the latest completed record of the spec whose hash is `run_id`, if there is one."""
        self.fetch(run_id)
        return super().completed(run_id)

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
        """Put `result`, a record from here with a certificate, in the place of the one without, and return it."""
        path = super().add_certificate(result)
        try:
            self.place.put(self._name(path), path.read_bytes())
        except DataError:
            path.unlink()  # no copy of anything there
            raise
        return path

    def fetch(self, beginning: str = "", *, anew: bool = False) -> int:
        """Bring the copies of records up to date, and return how many there are.

        Args:
            beginning: Only of names that begin with this.
            anew: Do not trust the copies that are here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            there = {name: entry for name, entry in self.place.entries("", beginning).items() if _is_record(name)}
            marks = {} if anew else self._marks()
            states = {name: f"{entry.size} {entry.changed!r}" for name, entry in there.items()}
            changed = [n for n, state in states.items() if marks.get(n) != state or not (self.folder / n).exists()]
            for name, content in self.place.read_all(changed).items():
                _replace(self.folder / name, content)
                marks[name] = states[name]
            if not beginning:
                for path in self.folder.glob("*.json"):
                    if path.name not in there:
                        path.unlink(missing_ok=True)
                marks = {name: mark for name, mark in marks.items() if name in there}
            if changed or not beginning:
                _replace(self.folder / MARKS, json.dumps(marks).encode())
        return len(there)

    def fetch_all(self) -> None:
        """Bring all that a page shows up to date: records, their samples, and the files of runs under way.

        Raises:
            DataError: There are no records.
        """
        self._require(self.fetch())
        self.fetch_samples()
        self.fetch_running()

    def follow(self, seconds: float, warn: Callable[[str], None]) -> NoReturn:
        """Fetch all every so many seconds; `warn` hears when the place cannot be reached."""
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

    def fetch_running(self) -> None:
        """Bring the copies of the files of runs under way up to date."""
        folder = self.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        names = [name for name in self.place.entries(FOLDER) if _is_record(name)]
        contents = self.place.read_all(f"{FOLDER}/{name}" for name in names)
        for name, content in contents.items():
            _replace(self.folder / name, content)
        for path in folder.glob("*.json"):
            if f"{FOLDER}/{path.name}" not in contents:
                path.unlink(missing_ok=True)

    def _create(self, path: Path, text: str) -> None:
        try:
            self.place.create(self._name(path), text.encode())
        except FileExistsError:
            _replace(path, self.place.read(self._name(path)))
            raise
        with contextlib.suppress(OSError):  # the record is there; a copy can be had again
            _replace(path, text.encode())

    def _require(self, n_records: int) -> None:
        if not n_records:
            raise DataError(f"no results at {self.place}; run `robench run` first or pass --results")

    def _marks(self) -> dict[str, str]:
        try:
            marks: dict[str, str] = json.loads((self.folder / MARKS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return marks

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def store_at(results: Location) -> Store:
    """Return the records in a folder, or at a place that machines share."""
    return SharedStore(results) if isinstance(results, SharedFolder) else Store(results)


def _is_record(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
