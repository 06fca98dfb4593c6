"""Which runs are comparable, which of them are one method, in which order methods stand, and which ranks they may have.

Runs are ranked together if they share the test images, every attack (with its threat model, parameters, surrogate
weights and n), and the precision of evaluation and attacks. Runs that differ in nothing but their seed are one method.
:mod:`robench.statistics.ranks` says which ranks images and seeds leave a method.

**A worst case belongs to a radius.** Sorted by ``worst``, methods are ranked by the worst case of one ball: the largest
radius at which a white-box attack was made and more than half of the methods are clearly above 0, so that the table
tells methods apart. Linf comes before other norms. If there is none, it is the smallest radius at which a white-box
attack was made. Where none was made at any radius, it is the largest of all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from robench.errors import SpecError, nearest
from robench.leaderboard.schema import SHARED, as_array, codes_and_texts, element, take_rows
from robench.statistics.intervals import wilson_interval
from robench.statistics.ranks import FEWEST_FREE, rank_ranges
from robench.statistics.worst_case import Ball

SORTS = ("worst", "clean", "adversarial", "drop", "trainable", "seconds")
TESTED = ("worst", "clean", "adversarial")
"""Sorts whose ranks come from tests; in the others only equal figures share ranks."""
FILTERS = ("dataset", "split", "model", "tuner", "attack", "surrogate", "knowledge", "seed", "run")

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The runs of one table, as indices into the measurements.

    Attributes:
        measurements: Columns of :data:`robench.leaderboard.schema.MEASUREMENT`, of this and other tables.
        rows: The runs of this table, the oldest first.
        first: The row from which the values that all runs share are taken.
        sort: What methods are sorted by, one of ``SORTS``.
        runs: Whether each run is a row of its own.
    """

    measurements: pa.Table
    rows: Indices
    first: int
    sort: str
    runs: bool = False

    def __len__(self) -> int:
        """Return the number of methods."""
        return int(self._method.max(initial=-1)) + 1

    @cached_property
    def order(self) -> Indices:
        """The runs, those of the best method first, and of one method by seed."""
        place = np.empty(len(self), dtype=np.int64)
        place[self._best_first] = np.arange(len(self))
        codes, texts = codes_and_texts(self.measurements["seed"])
        seeds = np.array([int(text) for text in texts], dtype=np.uint64)[codes[self.rows]]
        return self.rows[np.lexsort((seeds, place[self._method]))]

    @cached_property
    def starts(self) -> Indices:
        """Where the runs of each method start in ``order``, the best method first."""
        n_runs = self._n_runs[self._best_first]
        return np.cumsum(n_runs) - n_runs

    @cached_property
    def balls(self) -> tuple[Ball, ...]:
        """The norms and radii that have a worst case."""
        return tuple(
            Ball(norm=norm, eps=eps, measured=measured, n=n) for norm, eps, measured, n in self.shared["balls"]
        )

    @cached_property
    def ball(self) -> int | None:
        """The place of the ball whose worst case methods are sorted by; None if they are sorted by something else."""
        if self.sort != "worst" or not self.balls:
            return None
        measured = [place for place, ball in enumerate(self.balls) if ball.measured]
        first_norm = [place for place, ball in enumerate(self.balls) if ball.norm == self.balls[0].norm]
        norms = dict.fromkeys(self.balls[place].norm for place in measured)
        for place in (place for norm in norms for place in measured[::-1] if self.balls[place].norm == norm):
            n = self.balls[place].n
            last = float(np.sort(-self._by_worst(place))[::-1][len(self) // 2])  # of the better half, and one more
            if wilson_interval(100 * last, n)[0] > wilson_interval(0, n)[1]:
                return place
        return measured[0] if measured else first_norm[-1]

    @cached_property
    def counts_seeds(self) -> bool:
        """Whether there are enough runs to count the variance over seeds."""
        return len(self.rows) - len(self) >= FEWEST_FREE

    def ranks(self) -> list[tuple[int, int]]:
        """Return the lowest and the highest rank that each method may have, the best method first."""
        figures = -self._key[self._best_first]
        if self.sort in TESTED:
            return rank_ranges(self._right(), self.starts, figures)
        lowest = np.searchsorted(-figures, -figures, side="left") + 1
        highest = np.searchsorted(-figures, -figures, side="right")
        return [(int(low), int(high)) for low, high in zip(lowest, highest, strict=True)]

    @cached_property
    def shared(self) -> dict[str, Any]:
        """What all rows share: the columns of :data:`robench.leaderboard.schema.SHARED`."""
        row = self.measurements.select(SHARED.names).slice(self.first, 1).to_pylist()[0]
        return {**row, "columns": json.loads(row["columns"]), "balls": json.loads(row["balls"])}

    def has_any(self, name: str) -> bool:
        """Tell whether any row has a value in the column `name`."""
        column = take_rows(self.measurements.select([name]), self.rows)[0]
        return bool(column.null_count < len(column))

    def asked(self) -> list[tuple[str, int]]:
        """Return the attacks that asked queries, each with every number after which a row has its accuracy."""
        _, texts = codes_and_texts(take_rows(self.measurements.select(["queries"]), self.rows)["queries"])
        curves = [each for text in texts if text for each in enumerate(json.loads(text))]
        found = sorted({(place, at) for place, curve in curves for at, _ in curve or ()})
        return [(self.shared["columns"][place][0], at) for place, at in found]

    @cached_property
    def _method(self) -> Indices:
        """For each of ``rows``, the number of its method; methods are numbered by their oldest run."""
        if self.runs:
            return np.arange(len(self.rows))
        ids = as_array(self.measurements["method"])[self.rows]
        _, oldest, number = np.unique(ids, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(oldest))[number]

    @cached_property
    def _n_runs(self) -> Indices:
        return np.bincount(self._method, minlength=len(self))

    @cached_property
    def _best_first(self) -> Indices:
        """The methods' numbers: among equals the higher mean accuracy under attack is first, then the older."""
        sums = np.round(self._mean(as_array(self.measurements["sum"])[self.rows]), 9)
        return np.lexsort((-sums, self._key))

    @cached_property
    def _key(self) -> NDArray[np.float64]:
        """What each method is sorted by, lowest first."""
        if self.ball is not None:
            return self._by_worst(self.ball)
        if self.sort == "clean":
            right = self._mean(element(self.measurements["correct"], self.rows, 0))
            return np.asarray(-right / self.shared["n_clean"])
        names = {"trainable": "trainable_parameters", "seconds": "seconds", "drop": "by_drop"}
        return self._mean(as_array(self.measurements[names.get(self.sort, "by_adversarial")])[self.rows])

    def _by_worst(self, ball: int) -> NDArray[np.float64]:
        mean = self._mean(element(self.measurements["worst_correct"], self.rows, ball))
        return np.asarray(-mean / self.balls[ball].n)

    def _mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean of a value of ``rows`` over the runs of each method."""
        sums = np.bincount(self._method, weights=values, minlength=len(self))
        return np.asarray(sums / self._n_runs, dtype=np.float64)

    def _right(self) -> NDArray[np.bool_]:
        """Return which images are right in a sort that is tested, ``bool (runs, n)``, in ``order``."""
        skip, n = 0, self.shared["n_clean"]
        name = "clean" if self.sort == "clean" else "adversarial"
        if self.ball is not None:
            skip, n, name = sum(-(-each.n // 8) for each in self.balls[: self.ball]), self.balls[self.ball].n, "worst"
        elif name == "adversarial":
            # Attacks of one table may differ in n; all rows share the first images of the smallest.
            n = int(as_array(self.measurements["n_adversarial"])[self.rows].min())
        n_bytes = -(-n // 8)
        packed = take_rows(self.measurements.select([f"right_{name}"]), self.order)[0].to_pylist()
        joined = b"".join(each[skip : skip + n_bytes] for each in packed)
        bits = np.frombuffer(joined, np.uint8).reshape(len(packed), n_bytes)
        return np.unpackbits(bits, axis=1, count=n).view(bool)


def rank(
    measurements: pa.Table, *, sort: str = "worst", filters: Sequence[str] = (), runs: bool = False
) -> list[Ranking]:
    """Return a ranking for each group of comparable runs; of repeats of one run, the latest counts.

    Args:
        measurements: Columns of :data:`robench.leaderboard.schema.MEASUREMENT`.
        sort: One of ``SORTS``. Accuracies descend; ``drop``, ``trainable`` and ``seconds`` ascend.
        filters: ``field=pattern`` with a field of ``FILTERS`` and ``*`` for anything; a row must match all of them.
        runs: Rank every run by itself, and not those of all seeds together.

    Raises:
        SpecError: An unknown sort or filter.
    """
    if sort not in SORTS:
        raise SpecError(f"cannot sort by {sort!r}{nearest(sort, SORTS)}")
    conditions = [parse_filter(text) for text in filters]
    rows = _latest(measurements)
    for field, pattern in conditions:
        rows = rows[_matches(measurements, field, pattern)[rows]]
    comparison = codes_and_texts(measurements["comparison"])[0][rows]
    order = np.argsort(comparison, kind="stable")
    cuts = np.flatnonzero(np.diff(comparison[order])) + 1
    groups = np.split(rows[order], cuts) if len(order) else []
    places = [int(group[0]) for group in np.split(order, cuts)] if len(order) else []
    found = [
        (place, Ranking(measurements=measurements, rows=group, first=int(group[0]), sort=sort, runs=runs))
        for place, group in zip(places, groups, strict=True)
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
    shared = ranking.shared
    labels = [label for label, _, _ in shared["columns"]]
    return shared["dataset"], shared["split"], -shared["n_clean"], labels, shared["images"], shared["precision"]


def _latest(measurements: pa.Table) -> Indices:
    """Return the rows of the latest repeat of each run, in the order in which runs were first made."""
    completed = np.flatnonzero(as_array(measurements["completed"]))
    run = np.cumsum(as_array(measurements["part"]) == 0)[completed]  # numbers the records
    spec_ids = measurements["ranked_as"].combine_chunks()
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
