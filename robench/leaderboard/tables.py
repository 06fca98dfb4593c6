"""Tables of the leaderboard: the methods of a ranking with accuracies, intervals and the ranks that they may have.

What the page gets is :class:`Table`:

- ``Table.rows`` are **methods**, best first. :class:`robench.leaderboard.methods.Row` has the name in words, the
  settings behind it, the range of ranks ``rank_low`` to ``rank_high``, and mean accuracies over its runs with intervals
  over images and seeds (``Rate.sd`` is the deviation over seeds, None for one run).
- ``Row.runs`` are its single runs, by seed. With ``leaderboard(..., runs=True)`` each row is one run.
- ``Row.worst`` has one worst case for each of ``Table.balls``. ``Ball.measured`` is False if no white-box attack was
  made at exactly that radius: the figure is then an upper bound, which :func:`bound` writes as ``<= 48.0``.
- ``Table.ball`` is the place of the ball that the rows are ranked by, None for another sort. ``Table.reading`` says in
  a sentence how to read the ranks, and :func:`rank_text` writes one: ``3``, or ``3-6``. :func:`result` says in words
  what the best method reaches.
- ``Row.certified`` is certified accuracy by radius, ``Table.certified`` the radii. Nothing is ranked by it.
- ``Table.model`` is the model that all rows share, empty if they differ; then names should stand beside ``Row.model``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from robench.contracts.types import parse_radius
from robench.leaderboard.methods import Row, method_row
from robench.leaderboard.naming import method_names
from robench.leaderboard.ranking import TESTED, Ranking, rank
from robench.leaderboard.schema import RUN, SHOWN, codes_and_texts, take_rows
from robench.statistics.intervals import Rate
from robench.statistics.worst_case import Ball

if TYPE_CHECKING:
    from robench.records.record import RunResult

RANKED_BY = {
    "clean": "clean accuracy",
    "adversarial": "accuracy under the strongest attack",
    "drop": "the largest drop",
    "trainable": "trained parameters",
    "seconds": "seconds",
}
"""What each sort ranks by, in words; ``worst`` names its radius."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One attack of a table."""

    label: str
    threat: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """Comparable methods, best first.

    Attributes:
        columns: The attacks, transfer before white-box.
        balls: The norms and radii that have a worst case, Linf first, then by radius.
        ball: The place in `balls` of the one that ranks; None if something else does.
        certified: The norms and radii at which a row has certified accuracy.
        sort: What ranks, one of :data:`robench.leaderboard.ranking.SORTS`.
        model: The model that all rows share; empty if they differ.
        over_seeds: Whether the ranks count the variance over seeds.
        reading: One sentence on what the ranks rest on.
        resolution: The size at which images are attacked, such as ``32 px``.
        precision: What images were scored and attacked in; empty if all was float32.
        more: Number of rows that were ranked with these but are left out.
    """

    dataset: str
    split: str
    test_fingerprint: str
    n_clean: int
    resolution: str
    columns: tuple[Column, ...]
    balls: tuple[Ball, ...]
    ball: int | None
    certified: tuple[tuple[str, str], ...]
    sort: str
    model: str
    over_seeds: bool
    reading: str
    precision: str
    rows: tuple[Row, ...]
    more: int = 0

    @property
    def caption(self) -> str:
        """What the rows share, in one line."""
        precision = f", {self.precision}" if self.precision else ""
        shown = f", the first {len(self.rows):,} of {len(self.rows) + self.more:,} rows" if self.more else ""
        images = f"{self.n_clean:,} {self.split} images of {self.resolution} ({self.test_fingerprint[:8]})"
        return f"{self.dataset}, {images}{precision}{shown}"

    @property
    def ranked_by(self) -> str:
        """What ranks, in words, such as ``accuracy in the worst case at Linf 2/255``."""
        if self.ball is not None:
            return f"accuracy in the {case_at(self.balls[self.ball])}"
        return RANKED_BY["adversarial" if self.sort == "worst" else self.sort]


def result(table: Table) -> str:
    """Return in words what the best method of a table reaches, and whether it is told apart from the others."""
    best, n_rows = table.rows[0], len(table.rows) + table.more
    name = best.name if table.model else f"{best.model}: {best.name}"
    if table.sort not in TESTED:
        return f"First by {table.ranked_by}: {name}."
    if table.ball is not None:
        ball, rate = table.balls[table.ball], best.worst[table.ball]
        most = "" if ball.measured else "at most "
        reached = f"{most}{rate.percent:.1f} % of images stay right under every attack up to {ball.norm} {ball.eps}"
        reached += f", {best.clean.percent:.1f} % are right clean"
        reached += "" if ball.measured else f" ({no_white_box(ball)})"
    else:
        reached = f"first by {table.ranked_by}, {best.clean.percent:.1f} % of images are right clean"
    if n_rows == 1:
        return f"{name}: {reached}."
    others, chance = best.rank_high - 1, "images and seeds" if table.over_seeds else "images"
    if not others:
        rest = "the other method" if n_rows == 2 else "every other method"
        return f"Best: {name}: {reached}. Its lead over {rest} is more than chance over {chance}."
    rest = f"{others} other{'s' if others > 1 else ''}"
    return f"First: {name}: {reached}. Chance over {chance} may explain its lead over {rest}."


def case_at(ball: Ball) -> str:
    """Return the name of a ball's worst case: ``worst case at Linf 2/255``."""
    return f"worst case at {ball.norm} {ball.eps}"


def certified_radii(ranking: Ranking) -> tuple[tuple[str, str], ...]:
    """Return the norms and radii at which a row of a ranking has certified accuracy, by norm and radius."""
    codes, texts = codes_and_texts(ranking.measurements["certified"])
    proofs = [json.loads(texts[code]) for code in np.unique(codes[ranking.rows])]
    found = {(norm, eps) for proof in proofs for norm, eps, _, _ in proof}
    return tuple(sorted(found, key=lambda each: (each[0], parse_radius(each[1]))))


def certified_at(norm: str, eps: str) -> str:
    """Return the name of certified accuracy at a radius: ``certified at L2 1/4``."""
    return f"certified at {norm} {eps}"


def no_white_box(ball: Ball) -> str:
    """Return why a worst case is only an upper bound; empty if it is measured."""
    return "" if ball.measured else f"no white-box attack at {ball.eps}"


def bound(ball: Ball, rate: Rate) -> str:
    """Return a worst case as text: ``45.6``, or ``<= 48.0`` if no white-box attack was made at this radius."""
    return f"{'' if ball.measured else '<= '}{rate.percent:.1f}"


def rank_text(row: Row, to: str = "-") -> str:
    """Return the ranks that a method may have: ``3``, or ``3-6``."""
    return f"{row.rank_low}" if row.rank_low == row.rank_high else f"{row.rank_low}{to}{row.rank_high}"


def leaderboard(
    records: Iterable[RunResult], *, sort: str = "worst", filters: Sequence[str] = (), runs: bool = False
) -> list[Table]:
    """Rank completed runs in tables of comparable methods.

    Args:
        records: Any records; only completed runs are ranked, and of repeats of one run only the latest.
        sort: As of :func:`robench.leaderboard.ranking.rank`, and so are `filters`.
        runs: Make each run a row of its own.

    Raises:
        SpecError: An unknown sort or filter.
        DataError: A record contradicts itself.
    """
    from robench.leaderboard.flatten import measurement_table

    return [make_table(each) for each in rank(measurement_table(records), sort=sort, filters=filters, runs=runs)]


def make_table(ranking: Ranking, top: int | None = None) -> Table:
    """Return the `top` best methods of a ranking, or all of them; names and ranks are those among all methods."""
    kept = len(ranking) if top is None else min(top, len(ranking))
    ends = [*ranking.starts[1:].tolist(), len(ranking.order)]
    columns = ranking.measurements.select([*RUN.names, *SHOWN.names])
    runs = take_rows(columns, ranking.order[: ends[kept - 1] if kept else 0]).to_pylist()
    named = take_rows(columns.select(["asked", "model"]), ranking.order[ranking.starts]).to_pylist()
    models = {each["model"] for each in named}
    names = _names(named)
    shared, n_balls = ranking.shared, [ball.n for ball in ranking.balls]
    spans = zip(ranking.starts[:kept].tolist(), ends, names, ranking.ranks(), strict=False)
    return Table(
        dataset=shared["dataset"],
        split=shared["split"],
        test_fingerprint=shared["images"],
        n_clean=shared["n_clean"],
        resolution=shared["resolution"],
        columns=tuple(Column(label=label, threat=threat, n=n) for label, threat, n in shared["columns"]),
        balls=ranking.balls,
        ball=ranking.ball,
        certified=certified_radii(ranking),
        sort=ranking.sort,
        model=models.pop() if len(models) == 1 else "",
        over_seeds=ranking.counts_seeds,
        reading=_reading(ranking),
        precision=shared["precision"],
        rows=tuple(method_row(runs[start:end], name, span, n_balls) for start, end, name, span in spans),
        more=len(ranking) - kept,
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


def _reading(ranking: Ranking) -> str:
    if ranking.sort not in TESTED:
        return "Ranks follow the figures; equal figures share them."
    several = len(ranking.rows) > len(ranking)
    seeds = "" if ranking.counts_seeds else ", but not over seeds: too few runs" if several else ", but not over seeds"
    chance = "images and seeds" if ranking.counts_seeds else "images"
    return (
        f"Where a rank is a range, chance over {chance} leaves every rank of it open (tests of all pairs at 5 % "
        f"together){seeds}."
    )


def _names(named: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the names of methods; those of another model need not be told apart."""
    by_model: dict[str, list[int]] = {}
    for place, each in enumerate(named):
        by_model.setdefault(each["model"], []).append(place)
    names = [""] * len(named)
    for places in by_model.values():
        for place, name in zip(places, method_names([named[place]["asked"] for place in places]), strict=True):
            names[place] = name
    return names
