"""Open every photograph of a data set once: which are damaged, their sizes, and the hash of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from robench import DataError, remembered

from robench_plugins.datasets.folder.listing import Listing
from robench_plugins.datasets.readers.folders import is_named_as_image, note
from robench_plugins.datasets.readers.near_duplicates import perceptual_hash
from robench_plugins.datasets.readers.photographs import open_photograph


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What a data set holds.

    Attributes:
        names: The class names by what the data call the classes.
        class_names: In the order of the labels.
        files: Readable photographs.
        labels: Their classes, ``int64 (N,)``.
        parts: For each the part that it is assigned to; empty where nothing is assigned.
        hashes: ``uint8 (N, 32)``.
        sizes: Width and height in pixels, ``int64 (N, 2)``.
        notes: What was skipped or converted.
        loose: Whether classes may be missing in a part.
    """

    names: dict[str, str]
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]
    hashes: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    notes: tuple[str, ...]
    loose: bool


def index_of(root: Path, listing: Listing, names: tuple[tuple[str, str], ...]) -> Index:
    """Return the index of the files of `listing` below `root`.

    Files are opened once, and again only if their size or time changes.

    Args:
        names: The class name of each of what the data call the classes, in the order of the labels.

    Raises:
        DataError: There is only one class, a class is wholly damaged, or parts differ in their classes.
    """
    return _index_of(root, listing, names, tuple(map(_changed, listing.files)))


def _changed(file: Path) -> int:
    """Return when a file was last changed, in nanoseconds; 0 for a link to nothing."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _look_at(file: Path) -> list[Any] | None:
    """Return mode, frames, width, height and hash of a photograph; None if it is damaged, or none."""
    try:
        image, mode, frames = open_photograph(file)
    except DataError:
        return None
    return [mode, frames, *image.size, perceptual_hash(image).tobytes().hex()]


@lru_cache(maxsize=4)
def _index_of(root: Path, listing: Listing, names: tuple[tuple[str, str], ...], changed: tuple[int, ...]) -> Index:
    name_of = dict(names)
    class_names = tuple(dict.fromkeys(name_of.values()))
    labels = [class_names.index(name) for name in class_names]
    label_of = {key: labels[class_names.index(name)] for key, name in name_of.items()}
    _check_parts(root, listing, name_of)
    seen = remembered(f"photographs below {root.absolute()}, pillow {PIL.__version__}", listing.files, _look_at)
    good = [at for at, found in enumerate(seen) if found is not None]
    bad = [listing.files[at] for at, found in enumerate(seen) if found is None]
    left = {(listing.parts[at], name_of[listing.keys[at]]) for at in good}
    for part, key, file in zip(listing.parts, listing.keys, listing.files, strict=True):
        if (part, name_of[key]) not in left:
            raise DataError(f"every photograph of {name_of[key]} in {file.parent} is damaged")
    films = [listing.files[at] for at in good if seen[at][1] > 1]
    told = [
        *listing.notes,
        *note("files left out that are no images", [file for file in bad if not is_named_as_image(file)], root),
        *note("damaged files skipped", [file for file in bad if is_named_as_image(file)], root),
        *note("files with several images, of which the first is used", films, root),
    ]
    modes = Counter(seen[at][0] for at in good)
    if converted := [f"{count} {mode}" for mode, count in sorted(modes.items()) if mode != "RGB"]:
        told.append(f"brought to RGB: {', '.join(converted)}")
    return Index(
        names=name_of,
        class_names=class_names,
        files=tuple(listing.files[at] for at in good),
        labels=np.array([label_of[listing.keys[at]] for at in good], dtype=np.int64),
        parts=np.array([listing.parts[at] for at in good]),
        hashes=np.stack([np.frombuffer(bytes.fromhex(seen[at][4]), np.uint8) for at in good]),
        sizes=np.array([seen[at][2:4] for at in good], dtype=np.int64),
        notes=tuple(told),
        loose=listing.loose,
    )


def _check_parts(root: Path, listing: Listing, name_of: dict[str, str]) -> None:
    """Check that a class is one folder in each part, and that folders of parts have the same classes."""
    owners: dict[tuple[str, str], tuple[str, Path]] = {}
    classes: dict[str, set[str]] = {}
    for part, key, file in zip(listing.parts, listing.keys, listing.files, strict=True):
        name = name_of[key]
        owner, first = owners.setdefault((part, name), (key, file))
        if owner != key:
            raise DataError(f"{owner} ({first}) and {key} ({file}) are both the class {name}; put them in one folder")
        classes.setdefault(part, set()).add(name)
    first_part, *others = classes
    for part in () if listing.loose else others:
        if odd := sorted(classes[part] ^ classes[first_part]):
            raise DataError(f"{root}: {odd[0]!r} is a class of {first_part} or of {part}, but not of both")
    if len(set(name_of.values())) < 2:
        raise DataError(f"{root} holds only the class {next(iter(name_of.values()))}; expected two or more")
