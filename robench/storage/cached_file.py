"""Files in the cache that are made once, such as a network that many runs attack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from robench.errors import DataError, RobenchError
from robench.storage.shared_folder import SharedFolder
from robench.storage.whole_file import remove_abandoned, whole_file, write_whole

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

    In one folder one process makes it while the others wait. At a URL several machines may make it at the same time;
    all of them use the one that was published first.

    Args:
        shared: The URL that has the files of all machines, of which the folder has copies; None for a folder alone.
        name: With slashes; all that decides the content is in it.
        read: Raises a RobenchError for a damaged file, which is made again.
        make: Writes to the path given.
        warn: Hears of a damaged file.

    Raises:
        DataError: The folder cannot be written to, or the URL cannot be reached.
    """
    path = folder / name

    def here() -> T | None:
        if not path.is_file():
            return None
        try:
            return read(path)
        except RobenchError as error:
            warn(f"damaged {name}, made again: {error}")
            return None

    def fetch(shared: SharedFolder) -> T | None:
        try:
            shared.download(name, path)
        except FileNotFoundError:
            return None
        found = here()
        if found is None:
            shared.remove(name)
        return found

    def publish(shared: SharedFolder) -> T:
        content = path.read_bytes()
        while True:
            try:
                shared.create(name, content)
            except FileExistsError:  # another machine was first
                if (theirs := fetch(shared)) is not None:
                    return theirs
                write_whole(path, content)  # theirs was damaged
            else:
                return read(path)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            found = here()
            if found is None and shared is not None:
                found = fetch(shared)
            if found is not None:
                return found
            remove_abandoned(path.parent)
            with whole_file(path) as temporary:
                make(temporary)
            return read(path) if shared is None else publish(shared)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot write the cache {path.parent}: {reason}; pass --cache-dir DIR") from None
