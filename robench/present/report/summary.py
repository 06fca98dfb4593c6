"""The result of runs in a sentence or two, before all tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robench.records.labels import method_label
from robench.records.measurement import measurements
from robench.records.record import RunResult
from robench.statistics.intervals import Rate, rate, wilson
from robench.statistics.ranks import rank_ranges
from robench.statistics.worst_case import Ball, within_balls


def name_of(result: RunResult) -> str:
    """Return the model and the tuner of a run."""
    return f"{result.spec.model.label}, {method_label(result.spec)}"


def written(found: Rate, bound: bool = False) -> str:
    """Return an accuracy with its interval: ``49.4 (45.0 to 53.8)``, after ``at most`` if it is only a bound."""
    return f"{'at most ' if bound else ''}{found.percent:.1f} ({found.low:.1f} to {found.high:.1f})"


def case_of(ball: Ball) -> str:
    """Return the heading of a ball's worst case."""
    return f"worst case at {ball.norm} {ball.eps}"


def of_run(result: RunResult) -> tuple[str, ...]:
    """Return what a run found, and whether its checks support it."""
    if result.clean is None or result.data is None:
        return ()
    found = measurements(result)[0]
    clean = wilson(found.clean)
    text = f"{clean.percent:.1f} % of {clean.n:,} clean {result.spec.split} images are classified correctly"
    parts = [f"{text} ({clean.low:.1f} to {clean.high:.1f})."]
    for ball, right in within_balls(found.clean, found.attacks):
        share = rate(int(right.sum()), ball.n)
        stay = f"{share.percent:.1f} % ({share.low:.1f} to {share.high:.1f}, n={ball.n:,})"
        if ball.measured:
            parts.append(f"Under every attack within {ball.norm} {ball.eps}, {stay} stay so.")
        else:
            parts.append(f"At {ball.norm} {ball.eps} it is at most {stay}: no white-box attack was made there.")
    checks = f"Checks: {result.checks_summary}." if result.checks else "Nothing was checked."
    return (" ".join([*parts, checks]),)


def of_runs(records: Sequence[RunResult]) -> tuple[list[str], tuple[str, ...]]:
    """Return the ranks that comparable runs may have, and which is best, in words."""
    found = [measurements(record)[0] for record in records]
    cases = [within_balls(each.clean, each.attacks) for each in found]
    measured = [place for place, (ball, _) in enumerate(cases[0]) if ball.measured]
    place = measured[-1] if measured else len(cases[0]) - 1
    ball = cases[0][place][0] if cases[0] else None
    if ball is None:
        what = "clean accuracy"
        right = [each.clean.mask() for each in found]
    else:
        what = f"the {case_of(ball)}"
        right = [each[place][1] for each in cases]
    ranges = rank_ranges(right)
    order = np.argsort([-mask.mean() for mask in right], kind="stable")
    best = int(order[0])
    share = rate(int(right[best].sum()), len(right[best]))
    bound = ball is not None and not ball.measured
    equal = [name_of(records[at]) for at in order[1:] if ranges[at][0] <= ranges[best][0]]
    also = f" These images do not tell it apart from {_listed(equal)}." if equal else " The others are worse than it."
    accuracy = f"{'at most ' if bound else ''}{share.percent:.1f} % of {share.n:,} images"
    text = f"Best in {what}: {name_of(records[best])}, {accuracy} ({share.low:.1f} to {share.high:.1f}).{also}"
    return [f"{low}" if low == high else f"{low} to {high}" for low, high in ranges], (text,)


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names[:3]) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")
