"""Which runs are comparable, in which order they stand, and which rank each has.

Runs are ranked together if they share the test images, every attack (with its threat model, parameters, surrogate
weights and n), and the precision of evaluation and attacks. Runs that their images cannot tell apart share a rank:
:mod:`robench.statistics.ranks` tests all pairs with McNemar's test, adjusted by Holm's method.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from robench.errors import SpecError, nearest
from robench.leaderboard.schema import SHARED, as_array, codes_and_texts, take_rows
from robench.statistics.ranks import ranks

SORTS = ("worst", "clean", "adversarial", "drop", "trainable", "seconds")
TESTED = ("worst", "clean", "adversarial")
"""Sorts in which rows share a rank if a test does not tell them apart; in the others, if their figures are equal."""
FILTERS = ("dataset", "split", "model", "tuner", "attack", "surrogate", "knowledge", "seed", "run")

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The rows of one table, as indices into the measurements.

    Attributes:
        measurements: Columns of :data:`robench.leaderboard.schema.MEASUREMENT`, of this and other tables.
        order: The rows of this table, best first.
        first: The row from which the values that all rows share are taken.
        sort: What the rows are sorted by, one of ``SORTS``.
    """

    measurements: pa.Table
    order: Indices
    first: int
    sort: str

    def ranks(self) -> list[int]:
        """Return the rank of each row."""
        if self.sort in TESTED:
            return ranks(_right(self.measurements, self.order, self.sort))
        keys = _sort_key(self.measurements, self.sort)[self.order]
        return [int(place) + 1 for place in np.searchsorted(keys, keys)]

    def shared(self) -> dict[str, Any]:
        """Return what all rows share: the columns of :data:`robench.leaderboard.schema.SHARED`."""
        row = self.measurements.select(SHARED.names).slice(self.first, 1).to_pylist()[0]
        return {**row, "columns": json.loads(row["columns"])}

    def has_any(self, name: str) -> bool:
        """Tell whether any row has a value in the column `name`."""
        column = take_rows(self.measurements.select([name]), self.order)[0]
        return bool(column.null_count < len(column))


def rank(measurements: pa.Table, *, sort: str = "worst", filters: Sequence[str] = ()) -> list[Ranking]:
    """Return a ranking for each group of comparable runs; of repeats of one run, the latest counts.

    Args:
        measurements: Columns of :data:`robench.leaderboard.schema.MEASUREMENT`.
        sort: One of ``SORTS``. Accuracies descend; ``drop``, ``trainable`` and ``seconds`` ascend.
        filters: ``field=pattern`` with a field of ``FILTERS`` and ``*`` for anything; a row must match all of them.

    Raises:
        SpecError: An unknown sort or filter.
    """
    if sort not in SORTS:
        raise SpecError(f"cannot sort by {sort!r}{nearest(sort, SORTS)}")
    conditions = [parse_filter(text) for text in filters]
    rows = _latest(measurements)
    for field, pattern in conditions:
        rows = rows[_matches(measurements, field, pattern)[rows]]
    comparison, _ = codes_and_texts(measurements["comparison"])
    # Rows with equal keys are sorted by their mean accuracy under attack, then by age; they share a rank all the same.
    keys, sums = _sort_key(measurements, sort)[rows], -as_array(measurements["sum"])[rows]
    order = rows[np.lexsort((sums, keys, comparison[rows]))]
    cuts = np.flatnonzero(np.diff(comparison[order])) + 1
    _, first = np.unique(comparison[rows], return_index=True)
    groups = np.split(order, cuts) if len(order) else []
    found = [
        (int(place), Ranking(measurements=measurements, order=group, first=int(rows[place]), sort=sort))
        for place, group in zip(first, groups, strict=True)
    ]
    return [ranking for _, ranking in sorted(found, key=lambda each: (_table_order(each[1]), each[0]))]


def parse_filter(text: str) -> tuple[str, str]:
    """Split ``field=pattern``.

    Raises:
        SpecError: No ``=``, or an unknown field.
    """
    field, equals, pattern = text.partition("=")
    if not equals:
        raise SpecError(f"filter {text!r} is not FIELD=PATTERN, such as tuner=tecoa*")
    if field not in FILTERS:
        raise SpecError(f"cannot filter by {field!r}{nearest(field, FILTERS)}")
    return field, pattern


def _table_order(ranking: Ranking) -> tuple[Any, ...]:
    """Return the key that tables are sorted by."""
    shared = ranking.shared()
    labels = [label for label, _, _ in shared["columns"]]
    return shared["dataset"], shared["split"], -shared["n_clean"], labels, shared["images"], shared["precision"]


def _latest(measurements: pa.Table) -> Indices:
    """Return the rows of the latest repeat of each run, in the order in which runs were first made."""
    completed = np.flatnonzero(as_array(measurements["completed"]))
    run = np.cumsum(as_array(measurements["part"]) == 0)[completed]  # numbers the records
    spec_ids = pc.utf8_slice_codeunits(measurements["run_id"], 0, 12).combine_chunks()
    spec = as_array(spec_ids.dictionary_encode().indices)[completed]
    dates = measurements["started"].combine_chunks().dictionary_encode()
    age = as_array(pc.rank(dates.dictionary, tiebreaker="dense"))[as_array(dates.indices)[completed]]
    by_age = np.argsort(age, kind="stable")
    n_specs = int(spec.max(initial=-1)) + 1
    latest, made = np.empty(n_specs, dtype=np.int64), np.empty(n_specs, dtype=np.int64)
    latest[spec[by_age]] = run[by_age]  # of several, the last stays
    made[spec[by_age[::-1]]] = np.arange(len(by_age))[::-1]
    kept = np.flatnonzero(latest[spec] == run)
    return completed[kept[np.argsort(made[spec[kept]], kind="stable")]]


def _matches(measurements: pa.Table, field: str, pattern: str) -> NDArray[np.bool_]:
    """Tell which rows match one filter."""

    def any_of(name: str, values: Callable[[str], list[str]] = lambda text: [text]) -> NDArray[np.bool_]:
        codes, texts = codes_and_texts(measurements[name])
        found = [any(fnmatchcase(each, pattern) for each in values(text)) for text in texts]
        return np.array([*found, False])[codes]  # one more, for a column without any text

    if field in ("dataset", "model", "tuner"):
        label = "tuner_label" if field == "tuner" else field
        return any_of(label) | any_of(f"{field}_name")
    if field == "run":
        return np.array([fnmatchcase(each, pattern) for each in measurements["run_id"].to_pylist()], bool)
    if field == "surrogate":
        return any_of("surrogates", json.loads)
    if field in ("attack", "knowledge"):
        place = {"attack": 0, "knowledge": 4}[field]
        return any_of("comparison", lambda text: [attack[place] for attack in json.loads(text)[-1]])
    return any_of(field)


def _sort_key(measurements: pa.Table, sort: str) -> NDArray[np.float64]:
    names = {"trainable": "trainable_parameters", "seconds": "seconds"}
    return as_array(measurements[names.get(sort, f"by_{sort}")]).astype(np.float64)


def _right(measurements: pa.Table, rows: Indices, sort: str) -> NDArray[np.bool_]:
    """Return which images are right in a sort that is tested, ``bool (rows, n)``."""
    packed = take_rows(measurements.select([f"right_{sort}"]), rows)[0].to_pylist()
    # Attacks of one table may differ in n; all rows share the first images of the smallest.
    n = min(as_array(measurements[f"n_{sort}"])[rows])
    n_bytes = -(-n // 8)
    joined = b"".join(each[:n_bytes] for each in packed)
    return np.unpackbits(np.frombuffer(joined, np.uint8).reshape(len(rows), n_bytes), axis=1, count=n).view(bool)
