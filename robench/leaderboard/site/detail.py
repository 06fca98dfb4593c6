"""The data of one run, as JSON, which the page shows when its row is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robench.leaderboard.site.overview import rate
from robench.present.show import asked, made_with
from robench.records.labels import tuner_label
from robench.records.measurement import Measured, drop, measurements
from robench.records.record import AttackScore, RunResult, Score
from robench.statistics.intervals import by_class, wilson
from robench.statistics.intervals import rate as images_right
from robench.statistics.worst_case import within_balls

MOST_POINTS = 300
"""Points of a curve on the page."""


def detail(record: RunResult, gallery: Sequence[dict[str, Any]] | str) -> dict[str, Any]:
    """Return what the page's script shows of a completed run.

    Args:
        record: The record of the run.
        gallery: Rows of pictures of :mod:`robench.leaderboard.site.gallery`, or a line that says why there are none.
    """
    spec, made = record.spec, record.provenance
    assert record.data is not None and record.tuning is not None
    parameters = f"{record.tuning.parameters:,}, {record.tuning.trainable_parameters:,} of them trained"
    return {
        "run": record.run_id,
        "title": f"{spec.model.label}, {tuner_label(spec)} on {spec.dataset.label}",
        "command": made.command,
        "facts": [*asked(record), ("parameters", parameters), *made_with(record)],
        "measured": [_measured(found) for found in measurements(record)],
        "checks": [check.model_dump() for check in record.checks_worst_first],
        "warnings": record.warnings,
        "notes": record.data.notes,
        "plugins": list(made.plugins.items()),
        "versions": list(made.versions.items()),
        "seconds": list(record.seconds.items()),
        "gallery": gallery,
    }


def _measured(found: Measured) -> dict[str, Any]:
    labels, names = found.data.scored_labels(), found.data.class_names
    lines = []
    for score in (found.clean, *found.attacks):
        attack = score if isinstance(score, AttackScore) else None
        line: dict[str, Any] = {
            "label": attack.label if attack else "clean",
            "threat": f"{attack.norm} {attack.eps} {attack.knowledge}" if attack else "",
            "rate": rate(wilson(score)),
            "drop": round(drop(found.clean, attack), 1) if attack else None,
        }
        if labels is not None:
            classes = by_class(score.mask(), labels, names)
            line |= {"macro": round(classes.macro, 1), "lowest": rate(classes.lowest), "class": classes.lowest_name}
        lines.append(line)
    for ball, right in within_balls(found.clean, found.attacks):
        why = f"{ball.norm} {ball.eps}" + ("" if ball.measured else ", no white-box attack there")
        case = {"label": "worst case", "threat": why, "bound": not ball.measured, "drop": None}
        lines.append({**case, "rate": rate(images_right(int(right.sum()), ball.n))})
    for proof in found.certified:
        certified = {"label": "certified", "threat": f"{proof.norm} {proof.eps}, proved", "bound": False, "drop": None}
        lines.append({**certified, "rate": rate(wilson(proof))})
    queries = [curve for score in found.attacks if (curve := _queries(score))]
    return {"dataset": found.dataset.label, "lines": lines, "classes": _classes(found), "queries": queries}


def _queries(score: AttackScore) -> dict[str, Any] | None:
    """Return accuracy against queries as points of a curve, every one of them or evenly thinned."""
    if (counts := score.queries) is None or not counts.most:
        return None
    points = [[at, round(100 * right / score.n, 2)] for at, right in counts.curve(score.n)]
    kept = sorted({round(place) for place in np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS))})
    limit = f"at most {counts.budget:,} queries an image" if counts.budget else "no limit of queries"
    about = (
        f"{score.norm} {score.eps} {score.knowledge}, n={score.n:,}; {limit}, {counts.asked / score.n:,.0f} on average"
    )
    return {"label": score.label, "about": about, "points": [points[place] for place in kept]}


def _classes(found: Measured) -> dict[str, Any] | None:
    """Return the accuracy of each class, clean and under each attack; None if the record keeps no labels."""
    labels = found.data.scored_labels()
    if labels is None:
        return None
    scores: tuple[Score, ...] = (found.clean, *found.attacks)
    rows = []
    for index, name in enumerate(found.data.class_names):
        right = [score.mask()[labels[: score.n] == index] for score in scores]
        if len(right[0]):
            accuracies = [round(100 * float(np.mean(mask)), 1) if len(mask) else None for mask in right]
            rows.append([name, len(right[0]), *accuracies])
    return {"columns": ["clean", *(score.label for score in found.attacks)], "rows": rows}
