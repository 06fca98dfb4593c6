"""All threats of a table as a dot plot: a row a method, a panel a threat."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robench.leaderboard.text import name_of
from robench.leaderboard.views.view import ACCURACY, Cell, View
from robench.present.figures.canvas import COLOURS, readable, sheet

PANEL, NAMES, ROW = 1.7, 2.6, 0.34
"""Inches of a panel and of the names across, and of a row down."""
KINDS = ("clean", "worst case", "certified", "corruption", "shift")
"""Kinds of threats, each with a colour of its own."""


def profile(view: View) -> Figure:
    """Draw the accuracies of a view: a dot with its 95 % interval for each method and threat.

    All panels go from 0 to 100 %. No line joins the threats and no area is filled: neither would mean anything.
    """
    shown = [place for place, column in enumerate(view.columns) if column.unit == ACCURACY]
    names = [name_of(view.table, row) for row in view.table.rows]
    size = (NAMES + PANEL * len(shown), 1.6 + ROW * len(names))
    figure, axes = sheet(*size, 1, max(1, len(shown)), sharey=True)
    figure.suptitle(f"{view.table.caption}\naccuracy in percent with 95 % intervals", fontsize=9)
    for panel, place in zip(axes.flat, shown, strict=False):
        column = view.columns[place]
        colour = COLOURS[KINDS.index(column.kind) % len(COLOURS)] if column.kind in KINDS else "black"
        for row, cells in enumerate(view.cells):
            _draw(panel, row, cells[place], colour)
        panel.set_title("\n".join((readable(column.label, 18), readable(column.note, 24))), fontsize=7)
        panel.set_xlim(-3, 103)
        panel.set_xticks((0, 50, 100))
        panel.grid(color="0.9")
        panel.tick_params(labelsize=7)
    first = axes.flat[0]
    first.set_yticks(range(len(names)), [readable(name, 34) for name in names], fontsize=7)
    first.set_ylim(len(names) - 0.5, -0.5)
    return figure


def _draw(panel: Axes, row: int, found: Cell | None, colour: str) -> None:
    if found is None:
        panel.text(50, row, "not measured", ha="center", va="center", fontsize=6, color="0.45")
        return
    panel.plot([found.low, found.high], [row, row], color=colour, linewidth=1.2)
    # An open triangle points to where the true figure lies: it is at most this.
    face = "white" if found.bound else colour
    panel.plot(found.value, row, marker="<" if found.bound else "o", markersize=5, color=colour, markerfacecolor=face)
