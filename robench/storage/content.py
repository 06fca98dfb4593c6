"""The content of a file or a folder as a hash, computed again only if a size or a time changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from robench.storage.plain_file import read_plain
from robench.storage.whole_file import whole_file

SETTLED = 2_000_000_000
"""Nanoseconds after which another change of a file is sure to change its times, on any file system."""
UNREADABLE = "unreadable"


def content_hash(path: Path, cache: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file, or of the names and contents of a folder's files.

    Hidden files, and files that are no regular files, are left out. A folder is followed through links.

    Args:
        path: An existing file or folder.
        cache: The cache, where the hash is kept for as long as no size and no time changes.
    """
    files = dict(_files(path))
    state = hashlib.sha256(os.fsencode(path.absolute()))
    newest = 0
    for name, file in files.items():
        found = stat_of(file)
        numbers = (0, 0, 0, 0) if found is None else (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        newest = max(newest, *numbers[1:3])
        state.update(f"{name} {numbers}\n".encode("utf-8", "surrogateescape"))
    kept = cache / "content" / state.hexdigest()[:32]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{16}", text := read_plain(kept, 100).decode()):
            return text
    if path.is_dir():
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{name} {_hash(file)}\n".encode("utf-8", "surrogateescape"))
        answer = digest.hexdigest()[:16]
    else:
        answer = _hash(path)[:16]
    if newest < time.time_ns() - SETTLED:
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as temporary:
                temporary.write_text(answer, encoding="utf-8")
    return answer


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the regular files of a folder by their names within it, in order; a file is yielded by itself."""
    if not root.is_dir():
        yield "", root
        return
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                found[file.relative_to(root).as_posix()] = file
    yield from sorted(found.items())


def stat_of(file: Path) -> os.stat_result | None:
    """Return what the file system says of a file; None if it is missing."""
    try:
        return file.stat()
    except OSError:
        return None


def _hash(file: Path) -> str:
    if not file.is_file():  # a pipe or a device may never end
        return UNREADABLE
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return UNREADABLE
