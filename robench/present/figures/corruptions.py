"""Accuracy against the severity of corruptions."""

from __future__ import annotations

from matplotlib.figure import Figure

from robench.present.figures.canvas import headline, line_look, sheet
from robench.records.record import RunResult
from robench.statistics.corruptions import summarise
from robench.statistics.intervals import wilson


def corruptions(result: RunResult) -> Figure:
    """Draw a curve for each corruption, thin, and their mean with its 95 % intervals; clean accuracy stands at 0."""
    found = [summarise(each) for each in result.corruptions]
    found = [each for each in found if len(each.severities) > 1]
    figure, axes = sheet(6.6 * len(found), 4.6, 1, len(found))
    headline(figure, result, "Accuracy against the severity of corruptions, with 95 % intervals of the mean")
    for cell, summary in zip(axes.flat, found, strict=True):
        assert result.clean is not None
        clean = wilson(result.clean)
        for number, (name, curve) in enumerate(summary.curves.items()):
            cell.plot(summary.severities, curve, label=name, linewidth=0.8, markersize=3, **line_look(number))
        rates = [clean, *summary.by_severity]
        spread = [[rate.percent - rate.low for rate in rates], [rate.high - rate.percent for rate in rates]]
        percents = [rate.percent for rate in rates]
        cell.errorbar((0, *summary.severities), percents, yerr=spread, color="black", linewidth=2, label="mean")
        cell.set_xticks((0, *summary.severities), ("clean", *map(str, summary.severities)))
        cell.set_xlabel(f"severity, {summary.label} (n={summary.mean.n:,})")
        cell.set_ylabel("accuracy, %")
        cell.set_ylim(-2, 102)
        cell.grid(color="0.9")
        cell.legend(fontsize=6, ncols=2)
    return figure
