"""Read images in the Hub's parquet layout: a column of encoded images, and a column of whole numbers as labels.

Hugging Face `datasets` (5.2.0) was tried on CIFAR-10 and is not used. It gives the same pixels, but:

- it opens whatever file of this machine a cell of the parquet names, so that a stranger's file decides what is read;
- its errors name neither the damaged file nor the image, and a damaged training file also stops it from reading the
  test images;
- offline it does not find what `hf download` put into the Hub's cache;
- it copies the set into the user's home folder, and it takes more time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError, gather_images

from robench_plugins.datasets.readers.decode import decode

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
BATCH = 1000
"""Rows read at a time."""


class ParquetSource:
    """``train-*.parquet`` and ``test-*.parquet``, directly in a folder or one or two folders below it."""

    def __init__(self, parts: dict[str, list[Path]]) -> None:
        self._files = parts

    @classmethod
    def open(cls, root: Path) -> ParquetSource | None:
        """Return a source if `root` holds such files."""
        parts = {
            part: sorted({p for pattern in ("", "*/", "*/*/") for p in root.glob(f"{pattern}{part}-*.parquet")})
            for part in ("train", "test")
        }
        return cls(parts) if all(parts.values()) else None

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
                        raise DataError(f"{path} has no column {' or '.join(names)} (columns: {', '.join(columns)})")
                    row = 0
                    for batch in file.iter_batches(BATCH, columns=[name]):
                        yield path, row, batch.column(0)
                        row += len(batch)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
