"""Look through folders: which files may be photographs, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from robench import DataError

SYSTEM = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}
"""What operating systems leave in folders, in lower case."""
NAMED = 3
"""Files that a note names."""


def is_hidden(path: Path) -> bool:
    """Return whether a name is hidden, such as ``._a.jpg`` and ``.DS_Store``, or is one of the operating system."""
    return path.name.startswith(".") or path.name.lower() in SYSTEM


def contents(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the folders directly in `folder`, its other files, and what is hidden, each by name."""
    inside = sorted(folder.iterdir())
    hidden = [path for path in inside if is_hidden(path)]
    shown = [path for path in inside if not is_hidden(path)]
    return [path for path in shown if path.is_dir()], [path for path in shown if not path.is_dir()], hidden


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return all files of `folder` and of the folders in it, by name, and what is hidden.

    Raises:
        DataError: A link leads back to a folder that holds it.
    """
    files: list[Path] = []
    hidden: list[Path] = []

    def look(at: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(at)
        if real in above:
            raise DataError(f"{at} is a link to a folder that holds it; remove it")
        folders, others, unseen = contents(at)
        files.extend(others)
        hidden.extend(unseen)
        for inner in folders:
            look(inner, above | {real})

    look(folder, frozenset())
    return sorted(files), sorted(hidden)


def is_named_as_image(path: Path) -> bool:
    """Return whether a file's name ends as that of an image does."""
    return path.suffix.lower() in Image.registered_extensions()


def note(what: str, paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return a note that counts `paths` and names the first of them below `root`; none if there are none."""
    if not paths:
        return ()
    named = ", ".join(str(path.relative_to(root)) for path in paths[:NAMED])
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    many = "file" if len(paths) == 1 else "files"
    return (f"{len(paths)} {what.replace('files', many)}: {named}{more}",)
