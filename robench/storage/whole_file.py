"""Files that are written completely or not at all, also if the process is killed."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. The file that the block writes there takes the place of `path` at its end.

    If the block raises, the temporary file is removed and `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_new(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        FileExistsError: `path` is taken; it is left as it is.
        OSError: The disk is full or read-only.
    """
    draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
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
