"""Read webdataset shards, uncompressed tar files, in the layout of CLIP_benchmark.

    DIR/classnames.txt, DIR/zeroshot_classification_templates.txt, DIR/dataset_type.txt
    DIR/test/nshards.txt, DIR/test/0.tar, DIR/test/1.tar, ...; DIR/train/ likewise

Source: build_wds_dataset in clip_benchmark/datasets/builder.py of CLIP_benchmark 1.6.2 (MIT). Files of one sample have
one name up to the first dot of its last part; their suffixes say what they are: an image, and ``cls``, a whole number.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.folders import is_hidden, note
from robench_plugins.datasets.readers.texts import read_lines

IMAGES = ("webp", "png", "jpg", "jpeg")
PARTS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
KNOWN = {"classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt", "README.md", "LICENSE"}
"""Files beside the parts that hold no images."""


class TarSource:
    """The images of all shards, found by their places in the files, so that any of them can be read by itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kind = self._text("dataset_type.txt")
        if kind and kind != ("classification",):
            raise DataError(f"{root} is a set for {kind[0]}; expected image classification with one class an image")
        found = {part: root / name for part, names in PARTS.items() for name in names if (root / name).is_dir()}
        self._shards = {part: _shards_of(folder) for part, folder in found.items()}
        self._shards = {part: shards for part, shards in self._shards.items() if shards}
        self.parts = tuple(self._shards)
        if not self.parts:
            raise DataError(f"{root} holds no webdataset; expected test/0.tar, test/1.tar ... and classnames.txt")
        others = [path for path in sorted(root.iterdir()) if path not in found.values() and path.name not in KNOWN]
        self.notes = (
            *note("files left out", [path for path in others if not is_hidden(path)], root),
            *(
                f"{path.name} has no nshards.txt, so shards after {self._shards[part][-1].name} may be missing"
                for part, path in found.items()
                if part in self.parts and not (path / "nshards.txt").is_file()
            ),
        )
        self._index: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    @classmethod
    def is_at(cls, root: Path) -> bool:
        """Return whether a folder has tar files in one of the parts."""
        return any(next((root / name).glob("*.tar"), None) for names in PARTS.values() for name in names)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The lines of ``classnames.txt``; None without it."""
        return self._text("classnames.txt") or None

    @property
    def templates(self) -> tuple[str, ...]:
        """The lines of ``zeroshot_classification_templates.txt``, with ``{c}`` for the class."""
        lines = self._text("zeroshot_classification_templates.txt")
        if strange := next((line for line in lines if "{c}" not in line), None):
            raise DataError(f"the template {strange!r} of {self.root} has no place for the class; expected {{c}}")
        return lines

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""
        return self._indexed(part)[0]

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Yield the files of the images at `positions`."""
        places = self._indexed(part)[1]
        at, opened = -1, None
        try:
            for position in positions:
                shard, offset, size = (int(number) for number in places[position])
                if shard != at:
                    if opened:
                        opened.close()
                    at, opened = shard, self._shards[part][shard].open("rb")
                assert opened
                opened.seek(offset)
                yield f"{self._shards[part][shard]}, image {position}", opened.read(size)
        finally:
            if opened:
                opened.close()

    def _indexed(self, part: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels of `part`, and for each image its shard, where it begins there, and its bytes."""
        if part not in self._index:
            labels: list[int] = []
            places: list[tuple[int, int, int]] = []
            for number, shard in enumerate(self._shards[part]):
                for label, offset, size in _samples(shard):
                    labels.append(label)
                    places.append((number, offset, size))
            self._index[part] = np.array(labels, np.int64), np.array(places, np.int64).reshape(-1, 3)
        return self._index[part]

    def _text(self, name: str) -> tuple[str, ...]:
        path = self.root / name
        return read_lines(path, "a text with a line for each class or template") if path.is_file() else ()


def _shards_of(folder: Path) -> list[Path]:
    """Return the shards of a part in their order; all of them must be there."""
    numbered: dict[int, Path] = {}
    for path in folder.glob("*.tar"):
        if is_hidden(path):
            continue
        if (match := re.search(r"(\d+)\.tar$", path.name)) is None:
            raise DataError(f"{path} has no number; expected shards such as 0.tar")
        if (other := numbered.setdefault(int(match[1]), path)) != path:
            raise DataError(f"{other} and {path.name} have one number; keep one of them")
    count = folder / "nshards.txt"
    told = max(numbered, default=-1) + 1
    if count.is_file():
        text = count.read_text(encoding="utf-8", errors="replace").strip()
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise DataError(f"{count} holds {text[:40]!r}; expected the number of shards")
        if told > int(text):
            raise DataError(f"{count} says {text} shards, but {numbered[told - 1].name} lies there too; remove one")
        told = int(text)
    if missing := [number for number in range(told) if number not in numbered]:
        raise DataError(f"{len(missing)} of {told} shards are missing in {folder}: first {missing[0]}.tar")
    return [numbered[number] for number in range(told)]


def _samples(shard: Path) -> Iterator[tuple[int, int, int]]:
    """Yield label, place and size of each image of a shard."""
    key, place, label = "", None, None
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it keeps all of them otherwise
                if not member.isreg() or is_hidden(Path(member.name)):
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                if folder + slash + stem != key:
                    yield from _sample(shard, key, place, label)
                    key, place, label = folder + slash + stem, None, None
                if suffix.lower() in IMAGES:
                    place = member.offset_data, member.size
                elif suffix == "cls":
                    reader = tar.extractfile(member)
                    assert reader
                    text = reader.read(40).decode("ascii", "replace").strip()
                    if not re.fullmatch(r"[0-9]{1,9}", text):
                        raise DataError(f"{member.name} of {shard} holds {text!r}; expected the number of a class")
                    label = int(text)
            yield from _sample(shard, key, place, label)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{shard} cannot be read: {error}; expected an uncompressed tar file") from error


def _sample(shard: Path, key: str, place: tuple[int, int] | None, label: int | None) -> Iterator[tuple[int, int, int]]:
    if key and (place is None or label is None):
        lacks = "an image (webp, png or jpg)" if place is None else "a class (cls)"
        raise DataError(f"sample {key} of {shard} lacks {lacks}")
    if place is not None and label is not None:
        yield label, *place
