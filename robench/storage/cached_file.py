"""Files in the cache that are made once, such as a network that many runs attack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from robench.errors import DataError, RobenchError
from robench.storage.shared_cache import made_once
from robench.storage.shared_folder import SharedFolder

T = TypeVar("T")


def cached_file(
    folder: Path,
    shared: SharedFolder | None,
    name: str,
    *,
    read: Callable[[Path], T],
    make: Callable[[Path], None],
    warn: Callable[[str], None],
) -> T:
    """Return what `read` makes of the file `name` in the cache `folder`; `make` writes it if there is none.

    One process makes it while others wait for it; if machines share the cache, one process of all of them.

    Args:
        shared: The place that has the files of all machines, of which the folder has copies; None for a folder alone.
        name: With slashes; all that decides the content is in it.
        read: Raises a RobenchError for a damaged file, which is made again.
        make: Writes to the path given.
        warn: Hears of a damaged file.

    Raises:
        DataError: The folder cannot be written to, or the place cannot be reached.
    """
    path = folder / name

    def here() -> T | None:
        if not path.exists():
            return None
        try:
            return read(path)
        except RobenchError as error:
            warn(f"damaged {name}, made again: {error}")
            return None

    def make_here() -> T:
        temporary = path.with_name(f".{path.name}.tmp")
        make(temporary)
        temporary.replace(path)
        return read(path)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            found = here()
            if found is not None:
                return found
            return make_here() if shared is None else _shared(shared, name, path, here, make_here)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot write the cache {path.parent}: {reason}; pass --cache-dir DIR") from None


def _shared(shared: SharedFolder, name: str, path: Path, here: Callable[[], T | None], make_here: Callable[[], T]) -> T:
    """Return the file that all machines share, which one of them makes."""

    def fetch(take_away: bool) -> T | None:
        try:
            shared.download(name, path)
        except FileNotFoundError:
            return None
        found = here()
        if found is None and take_away:
            shared.remove(name)
        return found

    def make_for_all() -> T:
        made = make_here()
        try:
            shared.create(name, path.read_bytes())
        except FileExistsError:  # one who had the lease before was first after all: everybody uses the same
            found = fetch(True)
            return make_for_all() if found is None else found
        return made

    return made_once(shared, name, fetch, make_for_all)
