"""Images in the Hub's parquet layout: a column of encoded images and a column of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.decode import decode

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


class ParquetSource:
    """``train-*.parquet`` and ``test-*.parquet``, directly in a folder or one or two folders below it."""

    def __init__(self, parts: dict[str, list[Path]]) -> None:
        self._files = parts
        self._tables: dict[str, tuple[Any, NDArray[np.int64]]] = {}

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
        encoded = self._table(part)[0].take(positions)
        name = self._files[part][0].name
        return decode((cell and cell["bytes"] for cell in encoded.to_pylist()), len(positions), f"{name}, image")

    def _table(self, part: str) -> tuple[Any, NDArray[np.int64]]:
        if part not in self._tables:
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                table = pa.concat_tables([pq.read_table(path) for path in self._files[part]])
                images = table[_pick(table.column_names, IMAGE_COLUMNS, part)]
                labels = table[_pick(table.column_names, LABEL_COLUMNS, part)]
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{self._files[part][0]} cannot be read: {str(error).splitlines()[0]}") from error
            if not (pa.types.is_struct(images.type) and images.type.get_field_index("bytes") >= 0):
                raise DataError(f"the {part} parquet has images of type {images.type}; expected struct<bytes, path>")
            if not pa.types.is_integer(labels.type) or labels.null_count:
                raise DataError(
                    f"the {part} parquet has labels of type {labels.type}, {labels.null_count} of them missing; "
                    "expected whole numbers"
                )
            self._tables[part] = images, labels.to_numpy().astype(np.int64)
        return self._tables[part]


def _pick(columns: list[str], wanted: tuple[str, ...], part: str) -> str:
    for name in wanted:
        if name in columns:
            return name
    raise DataError(f"the {part} parquet has no column {' or '.join(wanted)} (columns: {', '.join(columns)})")
