"""Look through a folder of photographs once: its classes, its files, which are damaged, and the hash of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from robench import DataError

from robench_plugins.datasets.leaf.names import class_name, in_order
from robench_plugins.datasets.leaf.near_duplicates import perceptual_hash
from robench_plugins.datasets.readers.class_folders import images_in
from robench_plugins.datasets.readers.photographs import read_photograph

PARTS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
"""What folders of a dataset that comes split may be called."""
NAMED = 3
"""Damaged files that a note names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What a folder holds.

    Attributes:
        class_names: In the order of the labels.
        files: Readable photographs.
        labels: Their classes, ``int64 (N,)``.
        parts: For each the part that its folder assigns it to; empty where nothing is assigned.
        hashes: ``uint8 (N, 32)``.
        shorter_sides: ``int64 (N,)``, in pixels.
        notes: What was skipped or converted.
    """

    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]
    hashes: NDArray[np.uint8]
    shorter_sides: NDArray[np.int64]
    notes: tuple[str, ...]


def look_through(root: Path) -> Index:
    """Return the index of `root`: class folders, or ``train``, ``validation`` and ``test`` folders of them.

    A folder is read once; robench asks again for as long as its files stay the same.

    Raises:
        DataError: There are no classes or only one, one is empty or wholly damaged, or parts differ in their classes.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; pass --dataset leaf:path=DIR")
    listed = tuple(
        (part, name, tuple((file, file.stat().st_mtime_ns) for file in files))
        for part, folder in _parts(root)
        for name, files in _classes(folder)
    )
    return _look_through(root, listed)


def _parts(root: Path) -> list[tuple[str, Path]]:
    if not (root / "train").is_dir():
        return [("", root)]
    return [(part, root / name) for part, names in PARTS.items() for name in names if (root / name).is_dir()]


def _classes(folder: Path) -> list[tuple[str, list[Path]]]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        name = class_name(path.name)
        if name in found:
            raise DataError(f"{path} and {found[name]} are both the class {name}; put their photographs in one folder")
        found[name] = path
    if len(found) < 2:
        what = f"only the class {next(iter(found))}" if found else "no class folders"
        raise DataError(f"{folder} holds {what}; expected a folder of photographs for each of two or more classes")
    return [(name, images_in(path)) for name, path in found.items()]


Listed = tuple[tuple[str, str, tuple[tuple[Path, int], ...]], ...]


@lru_cache(maxsize=4)
def _look_through(root: Path, listed: Listed) -> Index:
    names = {part: {name for other, name, _ in listed if other == part} for part, _, _ in listed}
    first, *others = names
    for part in others:
        if odd := sorted(names[part] ^ names[first]):
            raise DataError(f"{root}: {odd[0]!r} is a class of {first} or of {part}, but not of both")
    class_names = in_order(sorted(names[first]))
    files: list[Path] = []
    labels: list[int] = []
    parts: list[str] = []
    hashes: list[NDArray[np.uint8]] = []
    sides: list[int] = []
    damaged: list[Path] = []
    modes: Counter[str] = Counter()
    for part, name, inside in listed:
        before = len(files)
        for file, _ in inside:
            try:
                mode, side, hashed = _look_at(file)
            except DataError:
                damaged.append(file)
                continue
            modes[mode] += 1
            files.append(file)
            labels.append(class_names.index(name))
            parts.append(part)
            hashes.append(hashed)
            sides.append(side)
        if len(files) == before:
            raise DataError(f"every photograph of {name} in {inside[0][0].parent} is damaged")
    notes = []
    if damaged:
        named = ", ".join(str(file.relative_to(root)) for file in damaged[:NAMED])
        more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        notes.append(f"{len(damaged)} damaged {'file' if len(damaged) == 1 else 'files'} skipped: {named}{more}")
    if converted := [f"{count} {mode}" for mode, count in sorted(modes.items()) if mode != "RGB"]:
        notes.append(f"brought to RGB: {', '.join(converted)}")
    return Index(
        class_names=class_names,
        files=tuple(files),
        labels=np.array(labels, dtype=np.int64),
        parts=np.array(parts),
        hashes=np.stack(hashes),
        shorter_sides=np.array(sides, dtype=np.int64),
        notes=tuple(notes),
    )


def _look_at(file: Path) -> tuple[str, int, NDArray[np.uint8]]:
    """Return the colour mode, the shorter side and the hash of a photograph."""
    image = read_photograph(file)
    with Image.open(file) as opened:
        mode = opened.mode
    return mode, min(image.size), perceptual_hash(image)
