"""Which runs are under way: each keeps a small file beside the records.

``robench serve`` shows these files, and at a URL sweeps use them to share their runs.
"""

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
from robench.records.labels import method_label
from robench.records.record import RunSpec
from robench.records.shared_store import RUNNING
from robench.storage.location import Location, local_folder, shared_folder
from robench.storage.plain_file import read_plain
from robench.storage.whole_file import remove_abandoned, write_whole

MOST_BYTES = 100_000
"""Largest status file."""
EVERY = 1.0
"""Least seconds between two writes to a folder."""
EVERY_SHARED = 20.0
"""Least seconds between two writes to a URL."""
WINDOW = 30.0
"""Seconds whose speed tells how long a stage still takes."""
STALE = 600.0
"""Seconds after the last write when a status file at a URL stops keeping other workers from the run."""
SILENT = 3600.0
"""Seconds after the last write when a run on another machine is no longer shown."""


class Running(BaseModel):
    """One status file, ``results/.running/RUN_ID.json``."""

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
    seconds_left: float | None = Field(default=None, description="of the stage, at its late speed; null if unknown")
    finished: tuple[tuple[str, float], ...] = Field(default=(), description="earlier stages, and their seconds")

    @property
    def recent(self) -> bool:
        """Whether this was written in the last minutes."""
        return abs(time.time() - self.updated) < STALE  # a time far ahead is of a clock that is wrong


class StatusFile:
    """Writes where the run of this process stands; a subscriber of the hooks like the progress bars.

    A failure to write never stops a run.
    """

    def __init__(self, results: Location) -> None:
        self._folder = local_folder(results) / RUNNING
        self._shared = shared_folder(results)
        self._every = EVERY if self._shared is None else EVERY_SHARED
        self._state: Running | None = None
        self._written = 0.0
        self._seen: list[tuple[float, int]] = []  # times and images of this stage, the first and those of the window

    def claim(self, spec: RunSpec) -> bool:
        """Write the file of a run at a URL before it starts; return False if another process is carrying it out.

        Raises:
            DataError: The URL cannot be reached.
        """
        assert self._shared is not None
        state = _begin(spec, spec.run_id())
        name = f"{RUNNING}/{state.run_id}.json"
        for other in map(_parse, self._shared.read_all([name]).values()):
            if other is not None and other.recent and _under_way(other):
                return False
            self._shared.remove(name)  # its worker died
        try:
            self._shared.create(name, state.model_dump_json(indent=1).encode())
        except FileExistsError:
            return False
        self._state = state
        return True

    @hookimpl
    def robench_run_started(self, spec: RunSpec, run_id: str) -> None:
        """Write a file for the run, and remove the one of the run before."""
        if self._state is not None and self._state.run_id != run_id:
            self.remove()
        self._state = _begin(spec, run_id)
        remove_abandoned(self._folder)
        self._write()

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Note how far the stage has come."""
        if self._state is None:
            return
        now = time.monotonic()
        finished = self._state.finished
        if progress.stage != self._state.stage:
            if self._state.stage:
                finished = (*finished, (self._state.stage, round(now - self._seen[0][0], 1)))
            self._seen = []
        # The first batch of a stage is slow, so that its whole would tell too long a time.
        self._seen = [
            *self._seen[:1],
            *(each for each in self._seen[1:] if each[0] > now - WINDOW),
            (now, progress.done),
        ]
        began, first = self._seen[1 if now - self._seen[0][0] > WINDOW and len(self._seen) > 2 else 0]
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
                "finished": finished,
                "updated": time.time(),
            }
        )
        if now - self._written >= self._every:
            self._write()

    @hookimpl
    def robench_run_finished(self) -> None:
        """Remove the file."""
        self.remove()

    def remove(self) -> None:
        """Remove the file, and the folder if it is empty; not that of copies, which other processes lock."""
        if self._state is not None:
            with suppress(OSError, RobenchError):
                path = self._path(self._state)
                if self._shared is not None:
                    self._shared.remove(f"{RUNNING}/{path.name}")
                path.unlink(missing_ok=True)
                if self._shared is None:
                    self._folder.rmdir()
        self._state = None

    def _path(self, state: Running) -> Path:
        return self._folder / f"{state.run_id}.json"

    def _write(self) -> None:
        if self._state is None:
            return
        self._written = time.monotonic()
        path = self._path(self._state)
        with suppress(OSError, RobenchError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, f"{self._state.model_dump_json(indent=1)}\n".encode())
            if self._shared is not None:
                self._shared.upload(path, f"{RUNNING}/{path.name}")


@contextmanager
def status_kept(manager: pluggy.PluginManager, results: Location) -> Iterator[StatusFile]:
    """Keep a status file beside the records for every run that reports to `manager` within the block."""
    file = StatusFile(results)
    manager.register(file)
    try:
        yield file
    finally:
        manager.unregister(file)
        file.remove()


def running(results: Path) -> list[Running]:
    """Return the runs under way, the oldest first; files of dead processes of this machine are removed."""
    found = []
    for path in sorted((results / RUNNING).glob("*.json")):
        with suppress(OSError):  # removed since the folder was listed
            if (state := _parse(read_plain(path, MOST_BYTES))) is None:
                continue
            if _under_way(state):
                found.append(state)
            elif state.host == platform.node():
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda state: state.started)


def _begin(spec: RunSpec, run_id: str) -> Running:
    name = f"{spec.model.label}, {method_label(spec)} on {spec.dataset.label}, seed {spec.seed}"
    pid, now = os.getpid(), time.time()
    return Running(run_id=run_id, name=name, host=platform.node(), pid=pid, born=_born(pid), started=now, updated=now)


def _parse(content: bytes) -> Running | None:
    try:
        return Running.model_validate_json(content)
    except ValidationError:  # damaged, or of another version of robench
        return None


def _under_way(state: Running) -> bool:
    """Return whether the process that wrote `state` still runs; on another machine, whether it wrote lately."""
    if state.host != platform.node():
        return abs(time.time() - state.updated) < SILENT
    return abs(_born(state.pid) - state.born) < 1


def _born(pid: int) -> float:
    """Return when a process began, in seconds since 1970; 0 if it has ended or cannot be asked."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0
