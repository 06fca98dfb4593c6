"""From columns to rankings: which entries stand in one table, in which order, and with which ranks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import SpecError, nearest
from robench.leaderboard.columns import coded, numbers, picked
from robench.statistics.ranks import ranks

if TYPE_CHECKING:
    import pyarrow as pa

SORTS = ("worst", "clean", "adversarial", "drop", "trainable", "seconds")
TESTED = ("worst", "clean", "adversarial")
"""Sorts in which a shared rank comes of a test; in the others, of equal figures."""
FILTERS = ("dataset", "split", "model", "tuner", "attack", "surrogate", "knowledge", "seed", "run")

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One table, whose rows are still columns.

    Attributes:
        entries: The columns of :data:`robench.leaderboard.entries.ENTRY`, of this and of other tables.
        order: Which of the entries are its rows, best first.
        first: The entry that speaks for what all share.
        sort: What they are ranked by.
    """

    entries: pa.Table
    order: Indices
    first: int
    sort: str

    def ranks(self) -> list[int]:
        """Return the rank of each row: those that the images cannot tell apart share one."""
        if self.sort in TESTED:
            return ranks(_right(self.entries, self.order, self.sort))
        keys = _sort_key(self.entries, self.sort)[self.order]
        return [int(place) + 1 for place in np.searchsorted(keys, keys)]


def rankings(entries: pa.Table, *, sort: str = "worst", filters: Sequence[str] = ()) -> list[Ranking]:
    """Return the tables of comparable rows, each with its order; of repeats of one run the latest counts.

    Args:
        entries: The columns of :data:`robench.leaderboard.entries.ENTRY`.
        sort: One of ``SORTS``; accuracies descend, ``drop``, ``trainable`` and ``seconds`` ascend.
        filters: ``field=pattern``, with ``*`` for anything; rows must match all of them.

    Raises:
        SpecError: An unknown sort or filter.
    """
    if sort not in SORTS:
        raise SpecError(f"cannot sort by {sort!r}{nearest(sort, SORTS)}")
    conditions = [parse_filter(text) for text in filters]
    rows = _latest(entries)
    for field, pattern in conditions:
        rows = rows[_matches(entries, field, pattern)[rows]]
    table, _ = coded(entries["comparison"])
    # Among equals, the better average over the attacks stands first, but shares the rank; then, the older run.
    keys, sums = _sort_key(entries, sort)[rows], -numbers(entries["sum"])[rows]
    order = rows[np.lexsort((sums, keys, table[rows]))]
    cuts = np.flatnonzero(np.diff(table[order])) + 1
    _, first = np.unique(table[rows], return_index=True)
    groups = np.split(order, cuts) if len(order) else []
    found = [
        (int(place), Ranking(entries=entries, order=group, first=int(rows[place]), sort=sort))
        for place, group in zip(first, groups, strict=True)
    ]
    return [ranking for _, ranking in sorted(found, key=lambda each: (_standing(each[1]), each[0]))]


def shared(ranking: Ranking) -> dict[str, Any]:
    """Return what the rows of a table share."""
    names = ("dataset", "split", "images", "n_clean", "columns", "worst_eps", "precision")
    row = ranking.entries.select(names).slice(ranking.first, 1).to_pylist()[0]
    return {**row, "columns": json.loads(row["columns"])}


def has_any(ranking: Ranking, name: str) -> bool:
    """Tell whether a row of a table has a value in a column."""
    column = picked(ranking.entries.select([name]), ranking.order)[0]
    return bool(column.null_count < len(column))


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


def _standing(ranking: Ranking) -> tuple[Any, ...]:
    """Return what tables are put in order by."""
    found = shared(ranking)
    labels = [label for label, _, _ in found["columns"]]
    return found["dataset"], found["split"], -found["n_clean"], labels, found["images"], found["precision"]


def _latest(entries: pa.Table) -> Indices:
    """Return the rows of the latest repeat of each run, in the order in which runs were first made."""
    import pyarrow.compute as pc

    completed = np.flatnonzero(numbers(entries["completed"]))
    run = np.cumsum(numbers(entries["part"]) == 0)[completed]
    spec = numbers(pc.utf8_slice_codeunits(entries["run_id"], 0, 12).combine_chunks().dictionary_encode().indices)
    spec = spec[completed]
    dates = entries["started"].combine_chunks().dictionary_encode()
    texts = dates.dictionary.to_pylist()
    age = np.argsort(sorted(range(len(texts)), key=texts.__getitem__))
    by_age = np.argsort(age[numbers(dates.indices)[completed]], kind="stable")
    n_specs = int(spec.max(initial=-1)) + 1
    latest, made = np.empty(n_specs, dtype=np.int64), np.empty(n_specs, dtype=np.int64)
    latest[spec[by_age]] = run[by_age]  # of several, the last stays
    made[spec[by_age[::-1]]] = np.arange(len(by_age))[::-1]
    kept = np.flatnonzero(latest[spec] == run)
    return completed[kept[np.argsort(made[spec[kept]], kind="stable")]]


def _matches(entries: pa.Table, field: str, pattern: str) -> NDArray[np.bool_]:
    """Tell which entries match one filter."""

    def any_of(name: str, values: Callable[[str], list[str]] = lambda text: [text]) -> NDArray[np.bool_]:
        codes, texts = coded(entries[name])
        found = [any(fnmatchcase(each, pattern) for each in values(text)) for text in texts]
        return np.array([*found, False])[codes]  # one more, for a column without any

    if field in ("dataset", "model", "tuner"):
        label = "tuner_label" if field == "tuner" else field
        return any_of(label) | any_of(f"{field}_name")
    if field == "run":
        return np.array([fnmatchcase(each, pattern) for each in entries["run_id"].to_pylist()], bool)
    if field == "surrogate":
        return any_of("surrogates", json.loads)
    if field in ("attack", "knowledge"):
        place = {"attack": 0, "knowledge": 4}[field]
        return any_of("comparison", lambda text: [attack[place] for attack in json.loads(text)[-1]])
    return any_of(field)


def _sort_key(entries: pa.Table, sort: str) -> NDArray[np.float64]:
    names = {"trainable": "trainable_parameters", "seconds": "seconds"}
    return numbers(entries[names.get(sort, f"by_{sort}")]).astype(np.float64)


def _right(entries: pa.Table, rows: Indices, sort: str) -> NDArray[np.bool_]:
    """Return which images count as right for a sort that is tested, ``bool (rows, n)``."""
    packed = picked(entries.select([f"right_{sort}"]), rows)[0].to_pylist()
    # Attacks of a table may have different n; the first images of all are those of the fewest.
    n = min(numbers(entries[f"n_{sort}"])[rows])
    n_bytes = -(-n // 8)
    joined = b"".join(each[:n_bytes] for each in packed)
    return np.unpackbits(np.frombuffer(joined, np.uint8).reshape(len(rows), n_bytes), axis=1, count=n).view(bool)
