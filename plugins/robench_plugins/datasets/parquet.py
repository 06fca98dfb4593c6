"""Images in the Hub's parquet layout: a column of encoded images and a column of labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError, gather_images

from robench_plugins.datasets.decode import decode

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
BATCH = 1000
"""Rows read at a time."""


class ParquetSource:
    """``train-*.parquet`` and ``test-*.parquet``, directly in a folder or one or two folders below it."""

    def __init__(self, parts: dict[str, list[Path]]) -> None:
        self._files = parts
        self._tables: dict[str, tuple[str, NDArray[np.int64]]] = {}

    @classmethod
    def open(cls, root: Path) -> ParquetSource | None:
        """Return a source if `root` holds such files."""
        parts = {
            part: sorted({p for pattern in ("", "*/", "*/*/") for p in root.glob(f"{pattern}{part}-*.parquet")})
            for part in ("train", "test")
        }
        return cls(parts) if all(parts.values()) else None

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""
        return self._table(part)[1]

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the images at `positions` to ``uint8 (n, 3, H, W)``."""
        return gather_images(len(positions), self._decoded(part, positions))

    def _decoded(
        self, part: str, positions: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Yield the images in the order of the files, as they are read, with their places in `positions`."""
        order = np.argsort(positions, kind="stable")
        rows, start = positions[order], 0
        name = self._files[part][0].name
        for batch in self._batches(part):
            first, last = np.searchsorted(rows, (start, start + len(batch)))
            if first < last:
                cells = batch.column(0).take(rows[first:last] - start).to_pylist()
                encoded = (cell and cell["bytes"] for cell in cells)
                yield order[first:last], decode(encoded, order[first:last], f"{name}, image")
            start += len(batch)

    def _batches(self, part: str) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self._files[part]:
            try:
                yield from pq.ParquetFile(path).iter_batches(BATCH, columns=[self._table(part)[0]])
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error

    def _table(self, part: str) -> tuple[str, NDArray[np.int64]]:
        """Return the name of the column of images, and all labels."""
        if part not in self._tables:
            import pyarrow as pa
            import pyarrow.parquet as pq

            files = self._files[part]
            try:
                schema = pq.read_schema(files[0])
                column = _pick(schema.names, IMAGE_COLUMNS, part)
                wanted = _pick(schema.names, LABEL_COLUMNS, part)
                labels = pa.concat_tables([pq.read_table(path, columns=[wanted]) for path in files])[wanted]
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{files[0]} cannot be read: {str(error).splitlines()[0]}") from error
            kind = schema.field(column).type
            if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
                raise DataError(f"the {part} parquet has images of type {kind}; expected struct<bytes, path>")
            if not pa.types.is_integer(labels.type) or labels.null_count:
                raise DataError(
                    f"the {part} parquet has labels of type {labels.type}, {labels.null_count} of them missing; "
                    "expected whole numbers"
                )
            self._tables[part] = column, labels.to_numpy().astype(np.int64)
        return self._tables[part]


def _pick(columns: list[str], wanted: tuple[str, ...], part: str) -> str:
    for name in wanted:
        if name in columns:
            return name
    raise DataError(f"the {part} parquet has no column {' or '.join(wanted)} (columns: {', '.join(columns)})")
