"""Read image classification as Hugging Face `datasets` lays it out: parquet, image folders with metadata, webdataset.

`datasets` finds files, splits and features, and reads rows one batch after another without copying the set. Images are
taken as files and decoded here: a cell may name another file of this machine, which `datasets` would open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.folders import is_hidden, note
from robench_plugins.datasets.readers.texts import read_lines

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval"),
}
LABELS = ("label", "labels", "fine_label", "cls", "class", "target")
"""What a column of labels without class names may be called."""
BESIDE = {".md", ".txt", ".json", ".jsonl", ".csv", ".yaml", ".yml", ""}
"""Suffixes of files that hold no images."""
ROWS = 256


class HubSource:
    """A folder in a form that `datasets` reads."""

    templates: tuple[str, ...] = ()

    def __init__(
        self,
        root: Path,
        *,
        config: str = "",
        image: str = "",
        label: str = "",
        named: dict[str, str] | None = None,
        n_classes: int = 0,
    ) -> None:
        self.root, self._config = root, config
        self._builder = self._build()
        files = {str(split): [Path(str(path)) for path in found] for split, found in self._files().items()}
        self._splits = _parts(files, named or {})
        self.parts = tuple(self._splits)
        for found in files.values():
            _check_shards(found)
        self._features = self._stream(self.parts[0]).features
        if not self._features:
            raise DataError(f"the columns of {root} cannot be told")
        self._image = self._image_column(image)
        self._label = self._label_column(label, n_classes)
        self._read: dict[str, list[Any]] = {}
        used = {path for split in self._splits.values() for path in files[split]}
        there = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix.lower() not in BESIDE]
        shown = [path for path in there if not any(map(is_hidden, [path, *path.relative_to(root).parents][:-1]))]
        self.notes = note("files left out", [path for path in shown if path not in used], root)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Those of the ClassLabel, or the texts in the column; None if labels are whole numbers."""
        feature = self._features[self._label]
        if names := getattr(feature, "names", None):
            return tuple(names)
        if feature.dtype in ("string", "large_string"):
            return tuple(sorted({text for part in self.parts for text in self._column(part)}))
        names_file = self.root / "classnames.txt"
        return read_lines(names_file, "one class name a line") if names_file.is_file() else None

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``.

        Raises:
            DataError: Some are missing.
        """
        column = self._column(part)
        if self._features[self._label].dtype in ("string", "large_string"):
            numbers = {name: number for number, name in enumerate(self.class_names or ())}
            return np.array([numbers[text] for text in column], np.int64)
        labels = np.array(column, np.int64)
        if len(labels) and (labels < 0).all():
            raise DataError(
                f"the {self._splits[part]} labels of {self.root} are not published, all are {labels[0]}; "
                "pass test=validation, or the name of another split"
            )
        return labels

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Yield the files of the images at `positions`."""
        import datasets

        stream = self._stream(part).select_columns([self._image])
        stream = stream.cast_column(self._image, datasets.Image(decode=False))
        start = 0
        for batch in self._batches(stream):
            cells = batch[self._image]
            first, last = np.searchsorted(positions, (start, start + len(cells)))
            for position in positions[first:last]:
                yield f"{self._splits[part]} image {position} of {self.root}", self._file(cells[position - start])
            start += len(cells)
            if last == len(positions):
                return

    def _build(self, **more: Any) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise DataError(
                "sets in the Hub's form are read by the package datasets, which is not installed; "
                "pip install 'robench[hub]'"
            ) from error
        try:
            return datasets.load_dataset_builder(str(self.root), self._config or None, **more)
        except Exception as error:  # of a strange folder it raises any of them
            lines = str(error).splitlines() or [type(error).__name__]
            hint = "; pass config=NAME" if "onfig name is missing" in str(error) else ""
            raise DataError(f"{self.root} holds no set in the Hub's form: {lines[0]}{hint}") from error

    def _files(self) -> Any:
        found = self._builder.config.data_files
        if not found:
            raise DataError(f"{self.root} holds no set in the Hub's form: it has no files of images")
        return found

    def _stream(self, part: str, **more: Any) -> Any:
        builder = self._build(**more) if more else self._builder
        try:
            return builder.as_streaming_dataset(split=self._splits[part])
        except Exception as error:  # a damaged file leads the readers to any of them
            raise DataError(f"{self.root} cannot be read: {str(error).splitlines()[0]}") from error

    def _batches(self, stream: Any) -> Iterator[dict[str, list[Any]]]:
        try:
            yield from stream.iter(ROWS)
        except DataError:
            raise
        except Exception as error:  # a damaged file leads the readers to any of them
            lines = str(error).splitlines() or [type(error).__name__]
            raise DataError(f"{self.root} cannot be read: {lines[0]}") from error

    def _column(self, part: str) -> list[Any]:
        if part not in self._read:
            from_parquet = type(self._builder).__module__.endswith(".parquet")
            if from_parquet:  # only this column is read
                stream = self._stream(part, columns=[self._label])
            else:
                stream = self._stream(part).select_columns([self._label])
            values = [value for batch in self._batches(stream) for value in batch[self._label]]
            if (missing := next((at for at, value in enumerate(values) if value is None), None)) is not None:
                raise DataError(f"{self._splits[part]} image {missing} of {self.root} has no {self._label}")
            self._read[part] = values
        return self._read[part]

    def _image_column(self, asked: str) -> str:
        import datasets

        found = [name for name, feature in self._features.items() if isinstance(feature, datasets.Image)]
        # Parquet of other writers lacks the features that say what a column is.
        found = found or [name for name in ("image", "img") if name in self._features]
        return self._choose("image", asked, found)

    def _label_column(self, asked: str, n_classes: int) -> str:
        import datasets

        found = [name for name, feature in self._features.items() if isinstance(feature, datasets.ClassLabel)]
        if len(found) > 1 and n_classes:  # of CIFAR-100's two, the one with 100 classes
            found = [name for name in found if len(self._features[name].names) == n_classes] or found
        return self._choose("label", asked, found or [name for name in LABELS if name in self._features])

    def _choose(self, what: str, asked: str, found: list[str]) -> str:
        columns = ", ".join(self._features)
        if asked:
            if asked not in self._features:
                raise DataError(f"{self.root} has no column {asked!r} (columns: {columns})")
            return asked
        if not found:
            raise DataError(f"{self.root} has no column of {what}s (columns: {columns}); pass {what}=NAME")
        if len(found) > 1:
            choices = " or ".join(f"{what}={name}" for name in found)
            raise DataError(f"{self.root} has {len(found)} columns of {what}s; pass {choices}")
        return found[0]

    def _file(self, cell: Any) -> bytes:
        if isinstance(cell, bytes):
            return cell
        if isinstance(cell, dict) and cell.get("bytes"):
            return bytes(cell["bytes"])
        path = Path(str(cell.get("path"))) if isinstance(cell, dict) and cell.get("path") else None
        if path is None or not path.is_relative_to(self.root.absolute()) or ".." in path.parts:
            raise DataError(f"a cell of {self.root} holds no image, and names no file within it: {str(cell)[:80]}")
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from error


def _parts(files: dict[str, list[Path]], named: dict[str, str]) -> dict[str, str]:
    """Return the split that each part is read from."""
    for part, asked in named.items():
        if asked not in files:
            raise DataError(f"there is no split {asked!r} to take as {part}; there are {', '.join(files)}")
    parts: dict[str, str] = {}
    for part, usual in SPLITS.items():
        split = named.get(part) or next((name for name in usual if name in files), None)
        if split and split not in parts.values() and (named.get(part) or split not in named.values()):
            parts[part] = split
    if not parts:
        raise DataError(f"no split is called train, validation or test; pass test=NAME (there are {', '.join(files)})")
    if "test" not in parts and "validation" in parts and not named.get("validation"):
        parts["test"] = parts.pop("validation")  # many sets publish no labels of their test images
    return parts


def _check_shards(files: list[Path]) -> None:
    """Check that ``NAME-00000-of-0000N.SUFFIX`` are all there."""
    found: dict[tuple[str, int], set[int]] = {}
    for path in files:
        if match := re.fullmatch(r"(.*)-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.\w+", path.name):
            found.setdefault((str(path.parent / match[1]), int(match[3])), set()).add(int(match[2]))
    for (name, total), numbers in found.items():
        if missing := sorted(set(range(total)) - numbers):
            first = f"{name}-{missing[0]:05}-of-{total:05}{files[0].suffix}"
            raise DataError(f"{len(missing)} of {total} files are missing: first {first}")
