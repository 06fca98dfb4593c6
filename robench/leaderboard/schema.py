"""The columns that the leaderboard keeps of records: 100,000 such rows fit in memory where as many records do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FEW = pa.dictionary(pa.int32(), pa.string())
"""Text with few different values."""
RUN = pa.schema(
    [
        ("run_id", pa.string()),
        ("part", pa.int32()),  # numbers the datasets that a run was scored on
        ("completed", pa.int8()),  # if 0, all columns but these four are null
        ("started", pa.string()),
    ]
)
SHARED = pa.schema(
    [
        ("dataset", FEW),
        ("split", FEW),
        ("images", FEW),
        ("n_clean", pa.int64()),
        ("resolution", FEW),  # at which images are attacked, such as "32 px"
        ("columns", FEW),  # the attacks, as JSON
        ("balls", FEW),  # the radii that have a worst case, as JSON
        ("precision", FEW),
    ]
)
"""What all rows of one table share."""
SHOWN = pa.schema(
    [
        ("model", FEW),
        ("tuner", FEW),
        ("settings", FEW),  # the command without its seed
        ("asked", FEW),  # what the method is named by, as JSON
        ("seed", FEW),
        ("trainable_parameters", pa.int64()),
        ("seconds", pa.float64()),
        ("warnings", FEW),
        ("checks", FEW),
        ("plugins", FEW),
        # Lists: clean, then each attack in the order of the table.
        ("n", pa.list_(pa.int32())),
        ("correct", pa.list_(pa.int32())),
        ("drops", pa.list_(pa.float64())),
        ("macro", pa.list_(pa.float64())),
        ("lowest_n", pa.list_(pa.int32())),
        ("lowest_correct", pa.list_(pa.int32())),
        ("lowest_name", pa.string()),
        ("queries", FEW),  # for each attack [queries, right after so many], ...; null for no query attack, as JSON
        ("worst_correct", pa.list_(pa.int32())),  # for each ball
        ("certified", FEW),  # what the defence proves, as JSON: norm, radius, n and right images of each level
    ]
)
"""What a table shows of each row."""
FILTERED = pa.schema(
    [
        ("comparison", FEW),  # equal for rows of one table, as JSON
        ("method", pa.int64()),  # equal for runs that differ in nothing but their seed
        ("ranked_as", pa.string()),  # equal for repeats of one run
        ("dataset_name", FEW),
        ("surrogates", FEW),
        ("model_name", FEW),
        ("tuner_label", FEW),
        ("tuner_name", FEW),
    ]
)
"""What decides in which table a row stands, and whether a filter keeps it."""
SORTED = pa.schema(
    [
        # What each sort goes by beside "n" and "correct"; the sum of accuracies decides among equals.
        ("sum", pa.float64()),
        ("by_adversarial", pa.float64()),
        ("by_drop", pa.float64()),
        # Which images are right in a sort that is tested for significance, packed eight a byte; the worst case of each
        # ball one after the other, each in whole bytes.
        ("right_worst", pa.large_binary()),
        ("right_clean", pa.large_binary()),
        ("right_adversarial", pa.large_binary()),
        ("n_adversarial", pa.int32()),
    ]
)
"""What rows are sorted and ranked by."""
MEASUREMENT = pa.schema([*RUN, *SHARED, *SHOWN, *FILTERED, *SORTED])
"""One row for each dataset that a run was scored on, and one for a run that did not complete."""
STATE = ("size", "modified", "changed", "inode")
"""What changes in the state of a file when its content changes; times are in nanoseconds."""
INDEXED = pa.schema([*MEASUREMENT, *(pa.field(name, pa.int64()) for name in STATE)])
"""A measurement and the state of its file; null for a file so young that a change might not show in its state."""


def as_array(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column of numbers as an array that shares its memory; the values at nulls are undefined.

    Arrow's own conversion imports pandas first, which takes as long as reading the column of 100,000 rows.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return np.empty(0, dtype=array.type.to_pandas_dtype())
    found = np.frombuffer(array.buffers()[1], dtype=array.type.to_pandas_dtype())
    return found[array.offset : array.offset + len(array)]


def codes_and_texts(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Return a column of type ``FEW`` as its different texts, and for each row the number of its text."""
    array = column.combine_chunks()
    return as_array(array.indices), array.dictionary.to_pylist()


def element(column: pa.ChunkedArray, rows: NDArray[np.int64], place: int) -> NDArray[Any]:
    """Return the element at `place` of the lists in some rows of a column."""
    array = column.combine_chunks()
    starts = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array)]
    return as_array(array.values)[starts[rows] + place]


def take_rows(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Return the given rows of a table, in the order given."""
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]))
