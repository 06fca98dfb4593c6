"""Look through a folder of photographs once: its classes, its files, which are damaged, and the hash of each."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.leaf.names import class_name, in_order
from robench_plugins.datasets.leaf.near_duplicates import perceptual_hash
from robench_plugins.datasets.readers.folders import contents, files_below, is_hidden, is_named_as_image, note
from robench_plugins.datasets.readers.photographs import open_photograph

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What folders of a dataset that comes split may be called."""


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
    found = _Found(root)
    return _look_through(root, tuple(found.listed), found.notes())


class _Found:
    """The files of a folder, by part and class, and what is left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listed: list[tuple[str, str, tuple[tuple[Path, int], ...]]] = []
        self.renamed: dict[str, str] = {}
        self.hidden: list[Path] = []
        self.beside: list[Path] = []
        self.folders: list[Path] = []
        for part, folder in self._parts():
            self._look_at(part, folder)

    def notes(self) -> tuple[str, ...]:
        """Return notes on what is left out or renamed."""
        renamed = sorted(f"{folder} is {name}" for folder, name in self.renamed.items())
        return (
            *note("files outside of class folders left out", self.beside, self.root),
            *(f"folder {path.name} left out: it is no part that robench knows" for path in self.folders),
            *note("hidden files left out", self.hidden, self.root),
            *([f"{len(renamed)} class folders under another name: {', '.join(renamed)}"] if renamed else []),
        )

    def _parts(self) -> list[tuple[str, Path]]:
        """Return the folders that hold class folders, each with its part: train, validation, test, or empty."""
        folders, beside, hidden = contents(self.root)
        parts: dict[str, Path] = {}
        for path in folders:
            part = part_named(path.name)
            if part and any(inner.is_dir() and not is_hidden(inner) for inner in path.iterdir()):
                if part in parts:
                    raise DataError(f"{parts[part]} and {path} are both the {part} images; put them in one folder")
                parts[part] = path
        if "train" not in parts:
            if parts and len(parts) == len(folders):
                named = ", ".join(path.name for path in parts.values())
                raise DataError(f"{self.root} holds {named} but no train folder; expected one, or class folders alone")
            return [("", self.root)]
        self.hidden += hidden
        self.beside += beside
        self.folders = [path for path in folders if path not in parts.values()]
        return [(part, parts[part]) for part in PARTS if part in parts]

    def _look_at(self, part: str, folder: Path) -> None:
        folders, beside, hidden = contents(folder)
        self.hidden += hidden
        self.beside += beside
        found: dict[str, Path] = {}
        for path in folders:
            name = class_name(path.name)
            if name in found:
                raise DataError(
                    f"{path} and {found[name]} are both the class {name}; put their photographs in one folder"
                )
            found[name] = path
            if name != path.name:
                self.renamed[path.name] = name
        if len(found) < 2:
            what = f"only the class {next(iter(found))}" if found else "no class folders"
            raise DataError(f"{folder} holds {what}; expected a folder of photographs for each of two or more classes")
        for name, path in found.items():
            files, unseen = files_below(path)
            self.hidden += unseen
            if not files:
                raise DataError(f"{path} holds no images; expected files such as *.jpg, or no such folder")
            self.listed.append((part, name, tuple((file, _changed(file)) for file in files)))


def part_named(folder: str) -> str | None:
    """Return the part that a folder such as ``Test`` or ``training_set`` is called after, or None."""
    name = re.sub(r"[^a-z]", "", folder.lower())
    bare = re.sub(r"(data|dataset|images|imgs|photos|set|split)$", "", name)
    return next((part for part, names in PARTS.items() if {name, bare} & set(names)), None)


def _changed(file: Path) -> int:
    """Return when a file was last changed, in nanoseconds; 0 for a link to nothing."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


Listed = tuple[tuple[str, str, tuple[tuple[Path, int], ...]], ...]


@lru_cache(maxsize=4)
def _look_through(root: Path, listed: Listed, notes: tuple[str, ...]) -> Index:
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
    strange: list[Path] = []
    films: list[Path] = []
    modes: Counter[str] = Counter()
    for part, name, inside in listed:
        before = len(files)
        for file, _ in inside:
            try:
                image, mode, frames = open_photograph(file)
            except DataError:
                (damaged if is_named_as_image(file) else strange).append(file)
                continue
            if frames > 1:
                films.append(file)
            modes[mode] += 1
            files.append(file)
            labels.append(class_names.index(name))
            parts.append(part)
            hashes.append(perceptual_hash(image))
            sides.append(min(image.size))
        if len(files) == before:
            raise DataError(f"every photograph of {name} in {inside[0][0].parent} is damaged")
    told = [
        *notes,
        *note("files left out that are no images", strange, root),
        *note("damaged files skipped", damaged, root),
        *note("files with several images, of which the first is used", films, root),
    ]
    if converted := [f"{count} {mode}" for mode, count in sorted(modes.items()) if mode != "RGB"]:
        told.append(f"brought to RGB: {', '.join(converted)}")
    return Index(
        class_names=class_names,
        files=tuple(files),
        labels=np.array(labels, dtype=np.int64),
        parts=np.array(parts),
        hashes=np.stack(hashes),
        shorter_sides=np.array(sides, dtype=np.int64),
        notes=tuple(told),
    )
