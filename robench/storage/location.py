"""Where records and cached sets are."""

from __future__ import annotations

from pathlib import Path

from robench.errors import SpecError, nearest
from robench.storage.shared_folder import FILES, OBJECTS, SharedFolder

Location = Path | SharedFolder
"""Where records or cached sets are: a folder of this machine, or a place that several share by a URL."""


def parse_location(text: str) -> Location:
    """Return the place that a user names.

    Raises:
        SpecError: A URL of a kind that cannot be shared without workers doing the same work twice.
    """
    known = (*OBJECTS, *FILES)
    protocol, separator, rest = text.partition("://")
    if not separator:
        kind, colon, rest = text.partition(":/")
        if colon and kind in known:
            raise SpecError(f"{text} is neither a folder nor a URL; did you mean {kind}://{rest}?")
        return Path(text)
    if protocol not in known:
        raise SpecError(f"{text}: no place that can be shared begins with {protocol}://{nearest(protocol, known)}")
    if not rest.strip("/"):
        raise SpecError(f"{text} names no folder; expected a URL such as {protocol}://place/results")
    return SharedFolder(text.rstrip("/"))


def local_folder(place: Location) -> Path:
    """Return the folder of this machine that stands for `place`."""
    return place.mirror if isinstance(place, SharedFolder) else place


def shared_folder(place: Location) -> SharedFolder | None:
    """Return `place` if machines share it by a URL."""
    return place if isinstance(place, SharedFolder) else None
