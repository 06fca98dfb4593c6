"""Accuracy against the number of queries, for attacks that may only ask."""

from __future__ import annotations

from matplotlib.figure import Figure

from robench.present.figures.canvas import COLOURS, LINES, headline, sheet
from robench.records.query_counts import QueryCounts
from robench.records.record import AttackScore, RunResult
from robench.statistics.intervals import rate


def asking(result: RunResult) -> list[tuple[AttackScore, QueryCounts]]:
    """Return the attacks of a run that asked queries, with what they asked."""
    return [(score, score.queries) for score in result.attacks if score.queries and score.queries.most]


def queries(result: RunResult) -> Figure:
    """Draw how many images are right after so many queries, with 95 % intervals."""
    figure, axes = sheet(6.4, 4.2)
    headline(figure, result, "Accuracy against queries, with 95 % intervals")
    cell = axes[0, 0]
    for number, (score, counts) in enumerate(asking(result)):
        points = [(at, rate(right, score.n)) for at, right in counts.curve(score.n)]
        at, rates = [each for each, _ in points], [found for _, found in points]
        colour, dashes = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        name = f"{score.label} ({score.norm} {score.eps}, {score.knowledge}, n={score.n:,})"
        cell.step(at, [r.percent for r in rates], where="post", color=colour, linestyle=dashes, label=name)
        cell.fill_between(at, [r.low for r in rates], [r.high for r in rates], step="post", color=colour, alpha=0.15)
    cell.set_xscale("symlog", linthresh=1)
    cell.set_xlim(left=0)
    cell.set_ylim(-2, 102)
    cell.set_xlabel("queries for each image")
    cell.set_ylabel("accuracy, %")
    cell.grid(color="0.9")
    cell.legend(fontsize=8)
    return figure
