"""Read files that somebody else may have put there: regular files only, and no more of them than expected."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file; pipes and devices, which may never end, are not opened.

    Raises:
        OSError: `path` is missing, is not a regular file, or has more than `most_bytes` bytes.
    """
    _require(path.stat(), path, most_bytes)
    # The file may be another by now. Without O_NONBLOCK, opening a pipe would wait for its writer.
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        _require(os.fstat(file.fileno()), path, most_bytes)
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise _too_large(path, most_bytes)
    return content


def require_plain(path: Path, most_bytes: int) -> None:
    """Check that a library may open `path`.

    Raises:
        OSError: As for :func:`read_plain`.
    """
    _require(path.stat(), path, most_bytes)


def _require(found: os.stat_result, path: Path, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if found.st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most_bytes / 1e6:,.0f} MB", str(path))
