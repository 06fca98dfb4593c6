"""What all figures share: a sheet of a given size, and styles that survive a black-and-white printer."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.records.labels import method_label
from robench.records.record import RunResult

MOST_INCHES = 60.0
"""Most inches along a side of a figure; thousands of classes would fill the memory."""
LETTERS_AN_INCH = 12.0
"""At the size of a headline."""
MARKERS = "osD^vP*X"
LINES = ("-", "--", "-.", ":")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which those who see fewer colours tell apart; ``MARKERS`` and ``LINES`` differ with them."""
FILLS = ("#c6dff0", "#e69f00", "#0072b2", "#f5e6b8", "#b04a00", "#7fc8a9")
"""Fills that differ in colour, in lightness and, with ``HATCHES``, in texture, so that they differ in grey, too."""


def sheet(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, NDArray[Any]]:
    """Return a figure of `width` by `height` inches and its axes ``(rows, columns)``."""
    figure = Figure(figsize=(min(width, MOST_INCHES), min(height, MOST_INCHES)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, np.asarray(axes)


def headline(figure: Figure, result: RunResult, shows: str) -> None:
    """Write above a figure what it shows, and of which run, in lines as wide as the figure."""
    spec = result.spec
    run = f"{spec.model.label}, {method_label(spec)} on {spec.dataset.label}, run {result.run_id}"
    letters = max(20, int(LETTERS_AN_INCH * figure.get_figwidth()))
    figure.suptitle("\n".join(line for text in (shows, run) for line in textwrap.wrap(text, letters)), fontsize=9)


def line_look(number: int) -> dict[str, Any]:
    """Return the style of line `number`: colour, marker and dashes."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    return {"color": colour, "marker": marker, "linestyle": LINES[number % len(LINES)]}


def readable(name: str, width: int = 20) -> str:
    """Return a name as words, in lines of at most `width` letters."""
    return textwrap.fill(name.replace("_", " "), width)


def look(number: int) -> dict[str, Any]:
    """Return the style of the bars of series `number`."""
    fill, hatch = FILLS[number % len(FILLS)], HATCHES[number % len(HATCHES)]
    return {"facecolor": fill, "hatch": hatch, "edgecolor": "black", "linewidth": 0.5}


def show(axes: Axes, image: NDArray[Any]) -> None:
    """Draw one image ``(3, H, W)``, ``uint8`` or float in ``[0, 1]``, pixel by pixel, without ticks and frame."""
    axes.imshow(np.moveaxis(image, 0, -1), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def matrix(
    axes: Axes,
    values: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float,
    high: float,
    numbers: NDArray[Any] | None,
    form: str,
) -> None:
    """Draw `values` as a matrix of blues, from white at `low` to dark at `high`; NaN is left blank.

    Args:
        numbers: What is written into the cells; None for nothing.
        form: The format of the numbers, such as ``{:.2f}``.
    """
    axes.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    middle = (low + high) / 2
    for (row, column), value in np.ndenumerate(values):
        if numbers is not None and np.isfinite(value):
            colour, text = "white" if value > middle else "black", form.format(numbers[row, column])
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
