"""Which runs are under way: each keeps a small file beside the records, which ``robench serve`` reads."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pluggy
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl
from robench.errors import RobenchError
from robench.records.labels import tuner_label
from robench.records.record import RunSpec
from robench.storage.claims import FOLDER
from robench.storage.location import Location, local_folder, shared_folder

EVERY = 1.0
"""Seconds between two writes at least."""
EVERY_SHARED = 20.0
"""Seconds between two writes to a place that machines share by a URL, which is farther away."""
SILENT = 3600.0
"""Seconds after which a run on another machine, whose processes cannot be asked, counts as ended."""


class Running(BaseModel):
    """One file under ``results/.running/``."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    name: str = Field(description="model, tuner, dataset and seed")
    host: str = Field(description="machine of the process")
    pid: int
    born: float = Field(description="when the process began, as pids are used again; seconds since 1970")
    started: float = Field(description="when the run began")
    updated: float = Field(description="when this was written")
    stage: str = Field(default="", description="what it is at; empty before the first stage")
    done: int = Field(default=0, description="images finished of the stage")
    total: int = Field(default=0, description="images of the stage in all")
    detail: str = ""
    seconds_left: float | None = Field(default=None, description="of the stage, at its speed so far; null if unknown")


class StatusFile:
    """Writes where the run of this process stands; a subscriber of the hooks like the progress bars.

    Nobody needs the file, so that no failure to write it is worth a run.
    """

    def __init__(self, results: Location) -> None:
        self._folder = local_folder(results) / FOLDER
        self._shared = shared_folder(results)
        self._every = EVERY if self._shared is None else EVERY_SHARED
        self._state: Running | None = None
        self._written = 0.0
        self._stage_began = (0.0, 0)

    @hookimpl
    def robench_run_started(self, spec: RunSpec, run_id: str) -> None:
        """Leave a file for the run, and none for the one before."""
        self.remove()
        now = time.time()
        name = f"{spec.model.label}, {tuner_label(spec)} on {spec.dataset.label}, seed {spec.seed}"
        with suppress(OSError, psutil.Error):
            born = psutil.Process().create_time()
            self._state = Running(
                run_id=run_id, name=name, host=platform.node(), pid=os.getpid(), born=born, started=now, updated=now
            )
        self._write()

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Note how far the stage has come, at most once a second."""
        if self._state is None:
            return
        now = time.monotonic()
        if progress.stage != self._state.stage:
            self._stage_began = (now, progress.done)
        began, first = self._stage_began
        left = None
        if progress.done > first:
            left = (now - began) / (progress.done - first) * max(0, progress.total - progress.done)
        self._state = self._state.model_copy(
            update={
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "detail": progress.detail,
                "seconds_left": left,
                "updated": time.time(),
            }
        )
        if now - self._written >= self._every:
            self._write()

    @hookimpl
    def robench_run_finished(self) -> None:
        """Take the file away."""
        self.remove()

    def remove(self) -> None:
        """Take the file away, and the folder with the last one."""
        if self._state is not None:
            with suppress(OSError, RobenchError):
                path = self._path(self._state)
                if self._shared is not None:
                    self._shared.remove(f"{FOLDER}/{path.name}")
                path.unlink(missing_ok=True)
                self._folder.rmdir()
        self._state = None

    def _path(self, state: Running) -> Path:
        return self._folder / f"{state.run_id}.json"

    def _write(self) -> None:
        if self._state is None:
            return
        self._written = time.monotonic()
        path = self._path(self._state)
        temporary = path.with_name(f".{path.name}.tmp")
        with suppress(OSError, RobenchError):
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(self._state.model_dump_json(indent=1) + "\n", encoding="utf-8")
            temporary.replace(path)
            if self._shared is not None:
                self._shared.upload(path, f"{FOLDER}/{path.name}")


@contextmanager
def status_kept(manager: pluggy.PluginManager, results: Location) -> Iterator[None]:
    """Keep a status file beside the records for every run that reports to `manager` meanwhile."""
    file = StatusFile(results)
    manager.register(file)
    try:
        yield
    finally:
        manager.unregister(file)
        file.remove()


def running(results: Path) -> list[Running]:
    """Return the runs under way, the oldest first; files that dead processes left behind are removed."""
    found = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            state = Running.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            continue  # gone meanwhile, or of another version of robench: not ours to judge
        if state.host != platform.node():
            found += [state] if time.time() - state.updated < SILENT else []
        elif _alive(state):
            found.append(state)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda state: state.started)


def _alive(state: Running) -> bool:
    """Return whether the process that wrote `state` still runs, and is no other of the same number."""
    try:
        process = psutil.Process(state.pid)
        return bool(abs(process.create_time() - state.born) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
