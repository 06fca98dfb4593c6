"""Leases: who is at work on what, among machines that share a place but no locks.

A lease is a file ``NAME.1`` that its holder creates and writes again every few seconds. Once it was not written for
some minutes its holder counts as dead, and whoever creates ``NAME.2`` first holds the lease, and so on: at each number
there is one winner. Age is measured by the clock of the place alone.

A holder that sleeps for minutes loses its lease without knowing. What is made under leases is therefore created only
where there is none, so that the worst that can come of it is work done twice.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from robench.errors import DataError
from robench.storage.shared_folder import Entry, SharedFolder

BEAT = 20.0
"""Seconds between two writes of a lease."""
LOST = 180.0
"""Seconds after the last write at which a lease is lost."""
POLL = 3.0
"""Seconds between two looks at a lease that somebody else holds."""
FREE = b"free"
"""Content of a lease that was given back with the work undone; that of others is longer."""


class HeldError(Exception):
    """Somebody else holds the lease."""


@contextmanager
def leased(place: SharedFolder, name: str, *, wait: bool) -> Iterator[None]:
    """Hold the lease `name` in `place`, while a thread keeps it.

    Whoever gets it looks first whether the work was done meanwhile.

    Args:
        wait: Until nobody holds it.

    Raises:
        HeldError: Somebody holds it, without `wait`.
        DataError: The place cannot be reached.
    """
    content = f"{uuid.uuid4().hex} {platform.node()} {os.getpid()}".encode()
    number = _acquire(place, name, content, wait)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(place, name, number, content, ended), daemon=True)
    keeper.start()
    done = False
    try:
        yield
        done = True
    finally:
        ended.set()
        keeper.join()
        with contextlib.suppress(DataError, OSError):  # unreachable: the lease is lost by itself
            if done:
                for each in range(1, number + 1):  # the latest, which counts, at last
                    place.remove(f"{name}.{each}")
            else:
                place.put(f"{name}.{number}", FREE)


def held(place: SharedFolder, folder: str) -> set[str]:
    """Return the names of the leases in `folder` that somebody holds.

    Raises:
        DataError: The place cannot be reached.
    """
    latest = _latest(place.entries(folder))
    busy = {name: entry for name, (_, entry) in latest.items() if entry.size != len(FREE)}
    if not busy:
        return set()
    now = _now(place, folder)
    return {name for name, entry in busy.items() if now - entry.changed <= LOST}


def _acquire(place: SharedFolder, name: str, content: bytes, wait: bool) -> int:
    """Return the number under which the lease is ours."""
    folder, _, own = name.rpartition("/")
    ahead: float | None = None  # of the clock of the place before ours, which need not agree
    while True:
        number, entry = _latest(place.entries(folder, f"{own}.")).get(own, (0, None))
        free = entry is None or entry.size == len(FREE)
        if entry is not None and not free:
            ahead = _now(place, folder) - time.monotonic() if ahead is None else ahead
            free = ahead + time.monotonic() - entry.changed > LOST
        if free:
            with contextlib.suppress(FileExistsError):
                place.create(f"{name}.{number + 1}", content)
                return number + 1
        if not wait:
            raise HeldError(name)
        time.sleep(POLL)


def _latest(entries: dict[str, Entry]) -> dict[str, tuple[int, Entry]]:
    """Return for each name of a lease its highest number, with what is known of that file."""
    found: dict[str, dict[int, Entry]] = defaultdict(dict)
    for file, entry in entries.items():
        name, _, number = file.rpartition(".")
        if number.isdecimal():
            found[name][int(number)] = entry
    return {name: max(numbers.items(), key=lambda each: each[0]) for name, numbers in found.items()}


def _now(place: SharedFolder, folder: str) -> float:
    """Return the time by the clock of `place`."""
    probe = f".now-{uuid.uuid4().hex}"
    place.put(f"{folder}/{probe}", b"now")
    try:
        return place.entries(folder, probe)[probe].changed
    finally:
        place.remove(f"{folder}/{probe}")


def _keep(place: SharedFolder, name: str, number: int, content: bytes, ended: threading.Event) -> None:
    folder, _, own = name.rpartition("/")
    while not ended.wait(BEAT):
        with contextlib.suppress(DataError, OSError):  # the next may come through
            if _latest(place.entries(folder, f"{own}.")).get(own, (0, None))[0] != number:
                return  # lost: this process slept for too long
            place.put(f"{name}.{number}", content)
