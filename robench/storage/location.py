"""Where records and cached sets are: in a folder, or at a URL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from robench.errors import DataError, SpecError, nearest
from robench.storage.shared_folder import FILES, OBJECTS, SharedFolder

CACHE = "ROBENCH_CACHE"
"""Environment variable that names the cache; ``--cache-dir`` sets it, so that components and other processes see it."""
Location = Path | SharedFolder
"""A folder of this machine, or a folder that machines share by its URL."""


def parse_location(text: str | Path) -> Location:
    """Return the folder or the URL that a user typed; a path is a folder.

    Raises:
        SpecError: A URL of a kind that is not supported.
    """
    if isinstance(text, Path):
        return text
    known = (*OBJECTS, *FILES)
    protocol, separator, rest = text.partition("://")
    if not separator:
        kind, colon, rest = text.partition(":/")
        if colon and kind in known:
            raise SpecError(f"{text} is neither a folder nor a URL; did you mean {kind}://{rest}?")
        return Path(text)
    if protocol not in known:
        raise SpecError(f"{text}: URLs that begin with {protocol}:// are not supported{nearest(protocol, known)}")
    if not rest.strip("/"):
        raise SpecError(f"{text} names no folder; expected a URL such as {protocol}://place/results")
    return SharedFolder(text.rstrip("/"))


def local_folder(place: Location) -> Path:
    """Return the folder of this machine that is `place`, or that has the copies of it."""
    return place.mirror if isinstance(place, SharedFolder) else place


def within(place: Location, name: str) -> Location:
    """Return the folder `name` inside `place`."""
    return SharedFolder(f"{place.url}/{name}") if isinstance(place, SharedFolder) else place / name


def shared_folder(place: Location) -> SharedFolder | None:
    """Return `place` if it is a URL."""
    return place if isinstance(place, SharedFolder) else None


def make_writable(folder: Path) -> None:
    """Make `folder`, if it is not there, and write to it once, which leaves nothing behind.

    Raises:
        OSError: It cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"robench")


def prepare_cache(place: Location) -> None:
    """Make the cache, if it is not there, and check that it can be written to, before a run spends time.

    Raises:
        DataError: It cannot be made, reached or written to.
    """
    if isinstance(place, SharedFolder):
        place.prepare()
        return
    try:
        make_writable(place)
    except OSError as error:
        raise DataError(f"cannot write the cache {place}: {error.strerror}; pass --cache-dir DIR") from None


def cache_location(given: str | Path | None = None) -> Location:
    """Return where what may be deleted at any time is kept: `given`, else ``ROBENCH_CACHE``, else the user's cache."""
    if chosen := given or os.environ.get(CACHE):
        return parse_location(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("robench")


def cache_folder() -> Path:
    """Return the folder of this machine that is the cache, or that has the copies of it."""
    return local_folder(cache_location())
