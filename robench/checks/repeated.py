"""Checks that repeat a white-box attack on the sample: at other radii, with more steps, from another random start."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from robench.attack.perturbation import perturb_set
from robench.checks.attack import Trial
from robench.checks.verdict import check, graded, significantly_more
from robench.records.record import Check
from robench.statistics.intervals import Mask

SECONDS = 30.0
"""How long repeating an attack on the sample may take, unless all checks are asked for."""
HUGE = Fraction(128, 255)
"""A radius at which every pixel can turn grey."""
LEFT_AT_HUGE = (0.02, 0.10)
"""Robust accuracy at that radius above which to warn and to fail."""
GAINED = 0.05
"""Share of images that more effort breaks above which to warn: the effort was too little."""


def epsilon(trial: Trial) -> Check | None:
    """Compare robust accuracy at half, once and twice the radius; it must not rise with the radius."""
    if trial.score.knowledge != "white-box":
        return None
    if (seconds := _seconds(trial)) > SECONDS and not trial.full:
        reason = f"would take about {seconds:.0f} s; --checks full does it"
        return check("epsilon", "skipped", reason, trial.label)
    threat = trial.attack.threat()
    half, double = threat.eps / 2, threat.eps * 2
    radii = [half] if half >= Fraction(1, 255) else []
    radii.append(min(double, Fraction(1)) if threat.norm == "Linf" else double)
    masks = [_again(trial, eps=radius) for radius in radii]
    masks.insert(-1, trial.withstood)
    rises = any(significantly_more(larger, than=smaller) for smaller, larger in pairwise(masks))
    rates = ", ".join(f"{100 * mask.mean():.0f}" for mask in masks)
    return check(
        "epsilon",
        "fail" if rises else "pass",
        f"robust accuracy {rates} % as epsilon doubles" + ("; it must not rise" if rises else ""),
        trial.label,
    )


def huge_epsilon(trial: Trial) -> Check | None:
    """Attack where every pixel can turn grey. A failure means that the attack misses what is certainly there."""
    if not trial.iterated or (_seconds(trial) > SECONDS and not trial.full):
        return None
    side = np.sqrt(np.prod(trial.subject.data.images.shape[1:]))
    linf = trial.score.norm == "Linf"
    radius = HUGE if linf else HUGE * Fraction(float(side)).limit_denominator(1000)
    left = float(_again(trial, eps=radius).mean())
    return check(
        "huge epsilon",
        graded(left, LEFT_AT_HUGE),
        f"{100 * left:.0f} % stay right where every pixel may turn grey"
        + ("; the attack does not find what is there" if left > LEFT_AT_HUGE[0] else ""),
        trial.label,
    )


def steps(trial: Trial) -> Check | None:
    """Compare with four times the steps, if all checks are asked for. A warning means too few steps."""
    if not (trial.full and trial.iterated):
        return None
    found = trial.withstood
    more = _again(trial, steps=4 * trial.attack.params.model_dump()["steps"])
    gained, worse = float((found & ~more).mean()), significantly_more(more, than=found)
    reason = f"four times the steps break {100 * gained:.0f} % more images"
    if worse:
        reason = f"four times the steps leave {100 * more.mean():.0f} % right, the attack {100 * found.mean():.0f} %"
    return check("steps", "fail" if worse else "warn" if gained > GAINED else "pass", reason, trial.label)


def restarts(trial: Trial) -> Check | None:
    """Compare with another random start, if all checks are asked for. A warning means too few restarts."""
    if not trial.full or trial.score.knowledge != "white-box":
        return None
    gained = float((trial.withstood & ~_again(trial, seed=1)).mean())
    reason = f"another random start breaks {100 * gained:.0f} % more images"
    return check("restarts", "warn" if gained > GAINED else "pass", reason, trial.label)


def _seconds(trial: Trial) -> float:
    """Return about how long repeating the attack at three radii takes."""
    return 3 * trial.score.seconds * len(trial.withstood) / trial.score.n


def _again(trial: Trial, *, seed: int = 0, **changes: object) -> Mask:
    """Return which images of the sample withstand the attack with other parameters or another random start."""
    attack, subject = trial.attack, trial.subject
    given = {name: getattr(attack.params, name) for name in attack.params.model_fields_set}
    if "eps" in changes and given.get("alpha") is not None:
        given["alpha"] = given["alpha"] * changes["eps"] / attack.threat().eps
    changed = replace(attack, params=type(attack.params).model_validate({**given, **changes}))
    images, _ = perturb_set(
        changed.build(),
        subject.network,
        subject.data,
        threat=changed.threat(),
        device=subject.context.device,
        seed=subject.context.stream(f"checks/{seed}"),
        precision=subject.context.precision.attacks,
    )
    return subject.right(images)
