"""Tables of the leaderboard: the rows of a ranking with accuracies, intervals and ranks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from robench.leaderboard.ranking import Ranking, rank
from robench.leaderboard.schema import RUN, SHOWN, take_rows
from robench.statistics.intervals import ByClass, Rate, rate

if TYPE_CHECKING:
    from robench.records.record import RunResult


@dataclass(frozen=True, kw_only=True)
class Column:
    """One attack of a table."""

    label: str
    threat: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of a table.

    Attributes:
        drops: Clean minus adversarial accuracy for each attack, in points, on the attacked images.
        worst: Accuracy in the worst case over all attacks; None if they have no norm in common.
        checks: The verdict of the certificate: pass, warn, incomplete, fail, or none if nothing was checked.
        plugins: The distributions, other than robench, that components came from.
        classes: Accuracies over classes, clean and then for each attack; None if the record keeps no labels.
    """

    rank: int
    model: str
    tuner: str
    clean: Rate
    attacks: tuple[Rate, ...]
    drops: tuple[float, ...]
    worst: Rate | None
    trainable_parameters: int
    seconds: float
    seed: int
    started: str
    run_id: str
    warnings: tuple[str, ...]
    checks: str
    plugins: tuple[str, ...]
    classes: tuple[ByClass, ...] | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Comparable rows, best first.

    Attributes:
        precision: What images were scored and attacked in; empty if all was float32.
        more: Number of rows that were ranked with these but are left out.
    """

    dataset: str
    split: str
    test_fingerprint: str
    n_clean: int
    columns: tuple[Column, ...]
    worst_eps: str | None
    precision: str
    rows: tuple[Row, ...]
    more: int = 0

    @property
    def caption(self) -> str:
        """What the rows share, in one line."""
        precision = f", {self.precision}" if self.precision else ""
        shown = f", the first {len(self.rows):,} of {len(self.rows) + self.more:,} rows" if self.more else ""
        return f"{self.dataset}, {self.n_clean:,} {self.split} images ({self.test_fingerprint[:8]}){precision}{shown}"


def leaderboard(records: Iterable[RunResult], *, sort: str = "worst", filters: Sequence[str] = ()) -> list[Table]:
    """Rank completed runs in tables of comparable rows.

    Args:
        records: Any records; only completed runs are ranked, and of repeats of one run only the latest.
        sort: As of :func:`robench.leaderboard.ranking.rank`, and so are `filters`.

    Raises:
        SpecError: An unknown sort or filter.
        DataError: A record contradicts itself.
    """
    from robench.leaderboard.flatten import measurement_table

    return [make_table(ranking) for ranking in rank(measurement_table(records), sort=sort, filters=filters)]


def make_table(ranking: Ranking, top: int | None = None) -> Table:
    """Return the `top` best rows of a ranking, or all of them; ranks are those among all rows."""
    kept = len(ranking.order) if top is None else min(top, len(ranking.order))
    rows = take_rows(ranking.measurements.select([*RUN.names, *SHOWN.names]), ranking.order[:kept]).to_pylist()
    shared = ranking.shared()
    return Table(
        dataset=shared["dataset"],
        split=shared["split"],
        test_fingerprint=shared["images"],
        n_clean=shared["n_clean"],
        columns=tuple(Column(label=label, threat=threat, n=n) for label, threat, n in shared["columns"]),
        worst_eps=shared["worst_eps"],
        precision=shared["precision"],
        rows=tuple(_row(row, place) for row, place in zip(rows, ranking.ranks()[:kept], strict=True)),
        more=len(ranking.order) - kept,
    )


def rows_to_show(sizes: Sequence[int], limit: int, fewest: int) -> list[int]:
    """Return how many rows to show of each table, so that there are about `limit` in all.

    All tables show equally many, but at least `fewest`. If even that is too much, the last tables show none.
    """
    each = max(sizes, default=0)
    while each > fewest and sum(min(size, each) for size in sizes) > limit:
        each -= 1
    kept = [min(size, each) for size in sizes]
    return [rows if before < limit else 0 for rows, before in zip(kept, accumulate(kept, initial=0), strict=False)]


def _row(row: Mapping[str, Any], place: int) -> Row:
    clean, *attacks = map(rate, row["correct"], row["n"])
    classes = None
    if row["macro"] is not None:
        lowest = zip(map(rate, row["lowest_correct"], row["lowest_n"]), _texts(row["lowest_name"]), strict=True)
        classes = tuple(
            ByClass(macro=macro, lowest=found, lowest_name=name)
            for macro, (found, name) in zip(row["macro"], lowest, strict=True)
        )
    return Row(
        rank=place,
        model=row["model"],
        tuner=row["tuner"],
        clean=clean,
        attacks=tuple(attacks),
        drops=tuple(row["drops"]),
        worst=None if row["worst_n"] is None else rate(row["worst_correct"], row["worst_n"]),
        trainable_parameters=row["trainable_parameters"],
        seconds=row["seconds"],
        seed=int(row["seed"]),
        started=row["started"],
        run_id=row["run_id"],
        warnings=_texts(row["warnings"]),
        checks=row["checks"],
        plugins=_texts(row["plugins"]),
        classes=classes,
    )


@lru_cache(maxsize=65536)  # many rows have the same texts
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
