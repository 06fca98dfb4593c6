"""Files that are written completely or not at all, also if the process is killed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ABANDONED = 24 * 3600.0
"""Age in seconds of a draft that nobody will finish, if it cannot be asked whether its process still runs."""
DRAFT = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{8}\.tmp")
EARLIER_DRAFT = re.compile(r"\.([0-9a-f]{32}|.+\.[0-9]+)\.tmp")
"""Names that earlier versions of robench gave."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. The file that the block writes there takes the place of `path` at its end.

    If the block raises, the temporary file is removed and `path` stays as it was.
    """
    with whole_files() as draft:
        yield draft(path)


@contextlib.contextmanager
def whole_files() -> Iterator[Callable[[Path], Path]]:
    """Yield a function that returns a temporary path beside a path; all take their places when the block ends.

    If the block raises, which it does when the disk is full, the temporary files are removed and all stays as it was.
    """
    drafts: dict[Path, Path] = {}

    def draft(path: Path) -> Path:
        return drafts.setdefault(path, draft_beside(path))

    try:
        yield draft
        for path, temporary in drafts.items():
            temporary.replace(path)
    finally:
        for temporary in drafts.values():
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in place of any that is there, completely or not at all.

    Raises:
        OSError: The disk is full or read-only; the file that was there is unchanged.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def draft_beside(path: Path) -> Path:
    """Return a free name in the folder of `path` for a file or folder that is not finished yet.

    The name says which process it belongs to, so that :func:`remove_abandoned` knows it.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def remove_abandoned(folder: Path) -> None:
    """Remove the drafts in `folder` of processes that were killed; nothing else, and never one that is being written.

    A draft of this machine is abandoned when its process has ended, any other when it is a day old.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if not entry.name.endswith(".tmp"):
                continue
            with contextlib.suppress(OSError):
                if _is_abandoned(entry):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        Path(entry.path).unlink()


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    named = DRAFT.fullmatch(entry.name)
    if named is None and not EARLIER_DRAFT.fullmatch(entry.name):
        return False
    if named is not None and named["machine"] == _machine() and not psutil.pid_exists(int(named["pid"])):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED


@functools.cache
def _machine() -> str:
    """Return a short name of where process numbers mean what they mean here: this machine, or this container."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def write_new(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        FileExistsError: `path` is taken; it is left as it is.
        OSError: The disk is full or read-only.
    """
    draft = draft_beside(path)
    try:
        write_to_disk(draft, text)
        # A hard link, unlike a rename, never replaces a file that another process has written meanwhile.
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: reserve the name, then fill it
            path.open("x").close()
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_to_disk(path: Path, text: str) -> None:
    """Write `text`, and wait until it is on the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
