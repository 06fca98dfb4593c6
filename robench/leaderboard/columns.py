"""The columns that the leaderboard keeps of records: a hundred thousand rows fit where as many records would not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FEW = pa.dictionary(pa.int32(), pa.string())
"""Text of which there are few different ones."""
ENTRY = pa.schema(
    [
        # Of the run; all else is null for one that did not complete.
        ("run_id", pa.string()),
        ("part", pa.int32()),  # counts the datasets that a run was scored on
        ("completed", pa.int8()),
        ("started", pa.string()),
        # What rows of one table share, and what only labels tell apart.
        ("comparison", FEW),
        ("columns", FEW),
        ("dataset", FEW),
        ("dataset_name", FEW),
        ("split", FEW),
        ("images", FEW),
        ("n_clean", pa.int64()),
        ("worst_eps", FEW),
        ("precision", FEW),
        ("surrogates", FEW),
        ("model", FEW),
        ("model_name", FEW),
        ("tuner", FEW),
        ("tuner_label", FEW),
        ("tuner_name", FEW),
        ("seed", FEW),
        ("trainable_parameters", pa.int64()),
        ("seconds", pa.float64()),
        ("warnings", FEW),
        ("checks", FEW),
        ("plugins", FEW),
        # Clean, then attack by attack in the order of the table.
        ("n", pa.list_(pa.int32())),
        ("correct", pa.list_(pa.int32())),
        ("drops", pa.list_(pa.float64())),
        ("macro", pa.list_(pa.float64())),
        ("lowest_n", pa.list_(pa.int32())),
        ("lowest_correct", pa.list_(pa.int32())),
        ("lowest_name", pa.string()),
        ("worst_n", pa.int32()),
        ("worst_correct", pa.int32()),
        # What each sort goes by, the lowest first; the sum of accuracies decides among equals.
        ("sum", pa.float64()),
        ("by_worst", pa.float64()),
        ("by_clean", pa.float64()),
        ("by_adversarial", pa.float64()),
        ("by_drop", pa.float64()),
        # Which images count as right for a sort that is tested, packed eight a byte, and how many there are.
        ("right_worst", pa.large_binary()),
        ("right_clean", pa.large_binary()),
        ("right_adversarial", pa.large_binary()),
        ("n_worst", pa.int32()),
        ("n_adversarial", pa.int32()),
    ]
)
"""One row for each dataset that a run was scored on, and one for a run that did not complete."""
STATE = ("size", "modified", "changed", "inode")
"""What of a file changes when its content does; times in nanoseconds."""
ROW = pa.schema([*ENTRY, *(pa.field(name, pa.int64()) for name in STATE)])
"""An entry and the state of its file; null where that is so young that it may change and look the same."""


def numbers(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column of numbers as an array that shares its memory; what stands for null there is not defined.

    Arrow's own way would first import pandas, which takes as long as to read the column of a hundred thousand rows.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return np.empty(0, dtype=array.type.to_pandas_dtype())
    found = np.frombuffer(array.buffers()[1], dtype=array.type.to_pandas_dtype())
    return found[array.offset : array.offset + len(array)]


def coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Return a column of few different texts as places among them, and these."""
    array = column.combine_chunks()
    return numbers(array.indices), array.dictionary.to_pylist()


def picked(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Return some rows of a table, in the order given."""
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]))
