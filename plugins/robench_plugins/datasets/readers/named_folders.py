"""Read a published set that lies in class folders, named for WordNet synsets, for the classes, or for their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.folders import contents, files_below, is_named_as_image, note

PARTS = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test", "testing")}
ANNOTATIONS = "val_annotations.txt"
"""In Tiny-ImageNet, the classes of images that lie in no class folders."""


class NamedFolderSource:
    """``PART/CLASS/FILE``, or ``CLASS/FILE``, which is read as test images."""

    templates: tuple[str, ...] = ()

    def __init__(self, root: Path, keys: Sequence[str], names: tuple[str, ...]) -> None:
        self.root, self.class_names = root, names
        self._numbers = {folded(key): number for number, key in enumerate(keys)}
        if is_numbered(root, len(keys)):  # as ImageNet-V2 is
            self._numbers = {str(number): number for number in range(len(keys))}
        folders, _, hidden = contents(root)
        parts = {part: path for path in folders for part, usual in PARTS.items() if path.name.lower() in usual}
        parts = parts or {"test": root}
        self._left_out = [*hidden, *(path for path in folders if len(parts) > 1 and path not in parts.values())]
        self._files: dict[str, tuple[list[Path], list[int]]] = {part: self._listed(at) for part, at in parts.items()}
        # Tiny-ImageNet and ImageNet publish no labels of their test images; the field scores on their val images.
        if not self._files.get("test", ([], []))[0] and "validation" in self._files:
            self._files["test"] = self._files.pop("validation")
        self.parts = tuple(part for part in PARTS if self._files.get(part, ([], []))[0])
        self.notes = note("files or folders left out", self._left_out, root)

    @classmethod
    def is_at(cls, root: Path, keys: Sequence[str]) -> bool:
        """Return whether a folder, or one of its parts, has folders named for the classes."""
        wanted = set(map(folded, keys))
        if is_numbered(root, len(keys)):
            return True
        for path in (root, *(path for path in root.iterdir() if path.is_dir())):
            if (path / ANNOTATIONS).is_file() or any(folded(inner.name) in wanted for inner in contents(path)[0]):
                return True
        return False

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``, class by class."""
        return np.array(self._files[part][1], np.int64)

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Yield the files of the images at `positions`."""
        for position in positions:
            path = self._files[part][0][position]
            if not path.is_file():
                raise DataError(f"{path} is no regular file, or a link to nothing; expected an image")
            yield str(path), path.read_bytes()

    def _listed(self, folder: Path) -> tuple[list[Path], list[int]]:
        if (annotations := folder / ANNOTATIONS).is_file():
            rows = [line.split() for line in annotations.read_text(encoding="utf-8").splitlines()]
            listed = [(folder / "images" / row[0], self._number(row[1], annotations)) for row in rows if len(row) > 1]
            return [path for path, _ in listed], [number for _, number in listed]
        files: list[Path] = []
        labels: list[int] = []
        for inner in contents(folder)[0]:
            below, hidden = files_below(inner)
            images = [path for path in below if is_named_as_image(path)]
            if images and inner.name.lower() != "images":
                files += images
                labels += [self._number(inner.name, folder)] * len(images)
                self._left_out += [*hidden, *(path for path in below if not is_named_as_image(path))]
            elif images:
                self._left_out.append(inner)
        return files, labels

    def _number(self, name: str, where: Path) -> int:
        if (number := self._numbers.get(folded(name))) is None:
            known = ", ".join(list(self._numbers)[:3])
            raise DataError(f"{where} has {name!r}, which is no class of the set; expected names such as {known}")
        return number


def is_numbered(root: Path, n_classes: int) -> bool:
    """Return whether the folders in `root` are all named for the numbers of classes, ``0`` to `n_classes` - 1."""
    names = [path.name for path in contents(root)[0]]
    return bool(names) and all(name.isdecimal() and str(int(name)) == name and int(name) < n_classes for name in names)


def folded(name: str) -> str:
    """Return a name without case, spaces and punctuation, and without the number before Caltech-256's."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\d{3}\.", "", name.lower()))
