"""Read images in the Hub's parquet layout: a column of encoded images, and a column of whole numbers as labels.

Hugging Face `datasets` (5.2.0) was tried on CIFAR-10 and is not used. It gives the same pixels, but:

- it opens whatever file of this machine a cell of the parquet names, so that a stranger's file decides what is read;
- its errors name neither the damaged file nor the image, and a damaged training file also stops it from reading the
  test images;
- offline it does not find what `hf download` put into the Hub's cache;
- it copies the set into the user's home folder, and it takes more time and memory.

`hub_folder` reads other sets with it, row by row and without decoding, which avoids the first and the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError, gather_images

from robench_plugins.datasets.readers.decode import decode
from robench_plugins.datasets.readers.folders import is_hidden, note

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
BATCH = 1000
"""Rows read at a time."""


class ParquetSource:
    """``train-*.parquet`` and ``test-*.parquet``, directly in a folder or one or two folders below it."""

    def __init__(self, parts: dict[str, list[Path]], notes: tuple[str, ...] = ()) -> None:
        self._files = parts
        self.notes = notes

    @classmethod
    def open(cls, root: Path) -> ParquetSource | None:
        """Return a source if `root` holds such files.

        Raises:
            DataError: A part lacks files, or has some twice.
        """
        there = sorted({path for pattern in ("", "*/", "*/*/") for path in root.glob(f"{pattern}*.parquet")})
        there = [path for path in there if not any(map(is_hidden, [path, *path.relative_to(root).parents][:-1]))]
        parts = {part: [path for path in there if path.name.startswith(f"{part}-")] for part in ("train", "test")}
        if not all(parts.values()):
            return None
        for part, files in parts.items():
            _check_complete(part, files)
        others = [path for path in there if path not in parts["train"] + parts["test"]]
        return cls(parts, note("files left out, which are neither train-*.parquet nor test-*.parquet", others, root))

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that the files themselves give; None if they give none.

        Raises:
            DataError: Files name different classes, or what they say cannot be read.
        """
        found = {path: names for files in self._files.values() for path in files if (names := _names_in(path))}
        for path, names in found.items():
            first, expected = next(iter(found.items()))
            if names != expected:
                raise DataError(f"{path} and {first} name different classes: {names[0]!r}... and {expected[0]!r}...")
        return next(iter(found.values()), None)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``.

        Raises:
            DataError: A file cannot be read, or its labels are missing or not whole numbers.
        """
        import pyarrow as pa

        found = [np.empty(0, np.int64)]
        for path, _, column in self._columns(part, LABEL_COLUMNS):
            if not pa.types.is_integer(column.type) or column.null_count:
                missing = f" with {column.null_count} missing" if column.null_count else ""
                raise DataError(f"{path} has labels of type {column.type}{missing}; expected whole numbers")
            found.append(column.to_numpy().astype(np.int64))
        return np.concatenate(found)

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the images at `positions` to ``uint8 (n, 3, H, W)``.

        Raises:
            DataError: A file cannot be read, an image is damaged, or images differ in size.
        """
        return gather_images(len(positions), self._decoded(part, positions))

    def _decoded(
        self, part: str, positions: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Yield the images in the order of the files, as they are read, with their places in `positions`."""
        import pyarrow as pa

        order = np.argsort(positions, kind="stable")
        rows, start = positions[order], 0
        for path, row, column in self._columns(part, IMAGE_COLUMNS):
            if not (pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0):
                raise DataError(f"{path} has images of type {column.type}; expected struct<bytes, path>")
            first, last = np.searchsorted(rows, (start, start + len(column)))
            if first < last:
                wanted = rows[first:last] - start
                encoded = column.take(wanted).field("bytes").to_pylist()
                yield order[first:last], decode(encoded, row + wanted, f"{path.name}, image")
            start += len(column)

    def _columns(self, part: str, names: tuple[str, ...]) -> Iterator[tuple[Path, int, Any]]:
        """Yield each file's column of one of `names`, ``BATCH`` rows at a time, with the number of the first row."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self._files[part]:
            try:
                with pq.ParquetFile(path) as file:
                    columns = file.schema_arrow.names
                    name = next((name for name in names if name in columns), None)
                    if name is None:
                        raise DataError(
                            f"{path} has no column {' or '.join(names)} (columns: {', '.join(columns)}); "
                            "pass --dataset hub:path=DIR,image=NAME,label=NAME"
                        )
                    row = 0
                    for batch in file.iter_batches(BATCH, columns=[name]):
                        yield path, row, batch.column(0)
                        row += len(batch)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _check_complete(part: str, files: list[Path]) -> None:
    """Check that the files of a part are all of ``PART-00000-of-0000N.parquet``, each once."""
    if len(folders := sorted({str(path.parent) for path in files})) > 1:
        raise DataError(f"there are {part} files in {folders[0]} and in {folders[1]}; pass the folder of one of them")
    numbered = {path: re.fullmatch(rf"{part}-(\d+)-of-(\d+)(-[0-9a-f]+)?\.parquet", path.name) for path in files}
    if not any(numbered.values()):
        return
    for path, match in numbered.items():
        if match is None:
            raise DataError(f"{path} is none of the numbered {part} files beside it; remove it, or the others")
    numbers = [(int(match[1]), int(match[2])) for match in numbered.values() if match]
    totals = sorted({total for _, total in numbers})
    if len(totals) > 1 or len(set(numbers)) < len(numbers):
        raise DataError(f"{files[0].parent} holds {part} files of two downloads, such as {files[0].name}; keep one")
    if missing := sorted(set(range(totals[0])) - {number for number, _ in numbers}):
        name = f"{part}-{missing[0]:05}-of-{totals[0]:05}.parquet"
        raise DataError(f"{len(missing)} of {totals[0]} {part} files are missing in {files[0].parent}: first {name}")


def _names_in(path: Path) -> tuple[str, ...] | None:
    """Return the class names in the metadata that Hugging Face `datasets` writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        names = next(features[column]["names"] for column in LABEL_COLUMNS if column in features)
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(f"the metadata of {path} hold class names that are no texts; expected a list of names")
    return tuple(names)
