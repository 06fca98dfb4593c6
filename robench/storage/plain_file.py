"""Read files that somebody else may have put there: regular files of their folder only, no more than expected."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file; pipes and devices, which may never end, are not opened.

    Raises:
        OSError: `path` is missing, is not a regular file, has more than `most_bytes` bytes, or is a link out of its
            folder.
    """
    require_plain(path, most_bytes)
    # The file may be another by now. Without O_NONBLOCK, opening a pipe would wait for its writer.
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        _require(os.fstat(file.fileno()), path, most_bytes)
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise _too_large(path, most_bytes)
    return content


def require_plain(path: Path, most_bytes: float = math.inf) -> None:
    """Check that a library may open `path`.

    Raises:
        OSError: As for :func:`read_plain`.
    """
    # realpath, unlike resolve(), does not raise for a link to itself; stat() says so.
    if path.is_symlink() and Path(os.path.realpath(path)).parent != Path(os.path.realpath(path.parent)):
        raise OSError(errno.ELOOP, "a link out of its folder, which is not followed; copy the file", str(path))
    _require(path.stat(), path, most_bytes)


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says; a key that stands twice in one object is an error, because readers differ about it.

    Raises:
        ValueError: `text` is not JSON, or repeats a key.
    """
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice[:80]!r} stands twice")
    return found


def _require(found: os.stat_result, path: Path, most_bytes: float) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if found.st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: Path, most_bytes: float) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most_bytes / 1e6:,.0f} MB", str(path))
