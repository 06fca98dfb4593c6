"""The views by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from robench.errors import SpecError, nearest
from robench.leaderboard.tables import Table
from robench.leaderboard.views.calibration import calibration
from robench.leaderboard.views.corruptions import corruptions
from robench.leaderboard.views.threats import all_threats, one_norm
from robench.leaderboard.views.view import View
from robench.records.record import RunResult

ATTACKS = "attacks"
"""The table itself."""
VIEWS = (ATTACKS, "all", "corruptions", "calibration")
"""The views of every table; the name of a norm, such as ``linf``, is one, too."""


def check_view(name: str, norms: Iterable[str]) -> None:
    """Refuse a view that no table has.

    Args:
        norms: The norms of all tables.

    Raises:
        SpecError: It is neither one of ``VIEWS`` nor the name of a norm.
    """
    known = (*VIEWS, *dict.fromkeys(norm.lower() for norm in norms))
    if name not in known:
        raise SpecError(f"no view is called {name!r}{nearest(name, known)}")


def views(name: str, table: Table, records: Mapping[str, RunResult], reference: RunResult | None = None) -> list[View]:
    """Return the views of a table that are called `name`: for calibration one for clean images and for each attack.

    Args:
        name: One of ``VIEWS`` but ``attacks``, or the name of a norm; of a norm that the table lacks there is none.
        records: At least the records of the table, by run ID.
        reference: The run that the errors of ``corruptions`` are divided by, if any.
    """
    if name == "all":
        return [all_threats(table, records)]
    if name == "corruptions":
        return [corruptions(table, records, reference)]
    if name == "calibration":
        return calibration(table, records)
    return [one_norm(name, table)] if any(ball.norm.lower() == name for ball in table.balls) else []
