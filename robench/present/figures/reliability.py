"""Reliability diagrams: accuracy against confidence, clean and under each attack (DeGroot and Fienberg 1983)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robench.present.figures.canvas import headline, readable, sheet
from robench.records.confidences import Confidences
from robench.records.record import RunResult
from robench.statistics.calibration import BINS, bins_of
from robench.statistics.intervals import rate

ACROSS = 4
"""Diagrams side by side."""


def answers(result: RunResult) -> dict[str, Confidences]:
    """Return how sure the network was of clean images and under each attack; nothing for an older record."""
    scores = [("clean", result.clean), *((score.label, score) for score in result.attacks)]
    found = {name: score.sureness() for name, score in scores if score is not None}
    return {name: each for name, each in found.items() if each is not None}


def reliability(result: RunResult) -> Figure:
    """Draw a diagram for clean images and for each attack: bins of equal width, with 95 % intervals of accuracy."""
    found = answers(result)
    rows = -(-len(found) // ACROSS)
    figure, axes = sheet(3.1 * min(len(found), ACROSS), 3.4 * rows, rows, min(len(found), ACROSS))
    headline(figure, result, "Accuracy against confidence, with 95 % intervals; bars are the share of images")
    for cell, (name, each) in zip(axes.flat, found.items(), strict=False):
        _draw(cell, each)
        cell.set_title(f"{readable(name, 30)}\nn={len(each):,}", fontsize=8)
    for cell in axes.flat[len(found) :]:
        cell.set_visible(False)
    return figure


def _draw(cell: Axes, each: Confidences) -> None:
    bins = bins_of(each.confidence)
    counts = np.bincount(bins, minlength=BINS)
    middles = (np.arange(BINS) + 0.5) * 100 / BINS
    cell.bar(middles, 100 * counts / len(each), width=100 / BINS, color="0.88", edgecolor="0.7", linewidth=0.5)
    cell.plot((0, 100), (0, 100), color="0.4", linestyle="--", linewidth=1)
    for place in np.flatnonzero(counts):
        inside = bins == place
        right = rate(int(each.right[inside].sum()), int(counts[place]))
        sure = 100 * float(each.confidence[inside].mean())
        cell.plot((sure, sure), (right.low, right.high), color="#0072b2", linewidth=1)
        cell.plot(sure, right.percent, marker="o", markersize=4, color="#0072b2")
    cell.set_xlim(0, 100)
    cell.set_ylim(-2, 102)
    cell.set_xlabel("confidence, %", fontsize=8)
    cell.set_ylabel("accuracy, %", fontsize=8)
