"""Checks of one attack on a network: whether it is as strong as it ought to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from robench.attack.perturbation import perturb_set
from robench.attack.projection import projected
from robench.checks import probes
from robench.checks.judge import Subject, check, graded, no_weaker, weaker
from robench.contracts.types import ThreatModel
from robench.images.image_set import to_bytes, to_device
from robench.records.record import AttackScore, Check
from robench.registry.resolved import ResolvedAttack
from robench.statistics.intervals import Mask

SECONDS = 30.0
"""What repeating an attack on the sample may take unless all checks are asked for."""
HUGE = Fraction(128, 255)
"""A radius at which grey is within reach of every pixel."""
LEFT_AT_HUGE = (0.02, 0.10)
"""Robust accuracy at it from which to warn, and to fail."""
GAINED = 0.05
"""Share of images that more effort may break before the effort was too little."""


def check_attack(subject: Subject, attack: ResolvedAttack, score: AttackScore, *, full: bool) -> Iterator[Check]:
    """Yield the checks of one attack with what it found; controls have none.

    ``ball``: the largest change is allowed. ``noise``: it beats random noise of the same length. ``surrogate``: the
    network that images are made on knows the classes, and is fooled. ``early exit``: images stop at its boundary.
    ``resampling``: it beats a control that attacks nothing. White-box attacks also: ``single step``, they beat one full
    step along the gradient; ``epsilon``, no accuracy is regained as the radius doubles; ``huge epsilon``, nothing is
    left where every pixel may turn grey.

    Args:
        full: Also ``steps`` and ``restarts``, what more effort breaks, and attacks that take long.
    """
    threat, label = attack.threat(), attack.label
    if threat.knowledge == "nothing":
        return
    allowed = f"largest change {255 * score.largest_norm:.4g}/255 of {255 * float(threat.eps):.4g}/255 allowed"
    yield check("ball", "pass", allowed, label)
    n = min(len(subject.data), score.n)
    sample = replace(subject, data=subject.data.first(n))
    found = score.mask()[:n]
    images, labels = sample.tensors()
    noisy = sample.right(_within(sample, probes.noise(images, threat), threat))
    yield no_weaker("noise", label, found, noisy, "random noise of the same length")
    resized = sample.right(to_bytes(probes.resampled(images)))
    weak = weaker(resized, found)
    yield check(
        "resampling",
        "warn" if weak else "pass",
        f"resizing to {probes.RESAMPLED} pixels and back leaves {100 * resized.mean():.0f} % right, the attack "
        f"{100 * found.mean():.0f} %" + ("; it costs less than no attack at all" if weak else ""),
        label,
    )
    if score.surrogate is not None:
        yield _surrogate(score)
        if getattr(attack.params, "early_exit", False):
            reason = "images stop as soon as they fool the surrogate; more transfer without early_exit"
            yield check("early exit", "warn", reason, label)
    if threat.knowledge != "white-box":
        return
    if "steps" in type(attack.params).model_fields:
        stepped = sample.right(_within(sample, probes.single_step(sample.network, images, labels, threat), threat))
        yield no_weaker("single step", label, found, stepped, "a single step along the gradient", "masked gradients?")
    seconds = 3 * score.seconds * n / score.n
    if not full and seconds > SECONDS:
        yield check("epsilon", "skipped", f"would take about {seconds:.0f} s; --checks full does it", label)
        return
    yield from _radii(sample, attack, found)
    if full:
        yield from _effort(sample, attack, found)


def _radii(sample: Subject, attack: ResolvedAttack, found: Mask) -> Iterator[Check]:
    threat = attack.threat()
    half, double = threat.eps / 2, threat.eps * 2
    radii = [half] if half >= Fraction(1, 255) else []
    radii.append(min(double, Fraction(1)) if threat.norm == "Linf" else double)
    masks = [_again(sample, attack, eps=radius) for radius in radii]
    masks.insert(-1, found)
    falls = any(weaker(easier, harder) for easier, harder in pairwise(masks))
    rates = ", ".join(f"{100 * mask.mean():.0f}" for mask in masks)
    yield check(
        "epsilon",
        "fail" if falls else "pass",
        f"robust accuracy {rates} % as epsilon doubles" + ("; it must not rise" if falls else ""),
        attack.label,
    )
    if "steps" not in type(attack.params).model_fields:
        return
    side = np.sqrt(np.prod(sample.data.images.shape[1:]))
    radius = HUGE if threat.norm == "Linf" else HUGE * Fraction(float(side)).limit_denominator(1000)
    left = float(_again(sample, attack, eps=radius).mean())
    yield check(
        "huge epsilon",
        graded(left, LEFT_AT_HUGE),
        f"{100 * left:.0f} % stay right where every pixel may turn grey"
        + ("; the attack does not find what is there" if left > LEFT_AT_HUGE[0] else ""),
        attack.label,
    )


def _effort(sample: Subject, attack: ResolvedAttack, found: Mask) -> Iterator[Check]:
    params = attack.params.model_dump()
    if "steps" in params:
        more = _again(sample, attack, steps=4 * params["steps"])
        gained, worse = float((found & ~more).mean()), weaker(found, more)
        reason = f"four times the steps break {100 * gained:.0f} % more images"
        if worse:
            reason = (
                f"four times the steps leave {100 * more.mean():.0f} % right, the attack {100 * found.mean():.0f} %"
            )
        yield check("steps", "fail" if worse else "warn" if gained > GAINED else "pass", reason, attack.label)
    again = _again(sample, attack, seed=1)
    gained = float((found & ~again).mean())
    reason = f"another random start breaks {100 * gained:.0f} % more images"
    yield check("restarts", "warn" if gained > GAINED else "pass", reason, attack.label)


def _surrogate(score: AttackScore) -> Check:
    assert score.surrogate is not None
    counts = score.surrogate.clean_correct, score.surrogate.adversarial_correct
    clean, attacked = (100 * count / score.n for count in counts)
    weak = clean < 50 or attacked > clean / 2
    reason = f"the surrogate classifies {clean:.0f} % of the clean images correctly, {attacked:.0f} % of the attacked"
    return check("surrogate", "warn" if weak else "pass", reason, score.label)


def _again(sample: Subject, attack: ResolvedAttack, *, seed: int = 0, **changes: object) -> Mask:
    """Return which of the sample withstand `attack` with other parameters or another random start."""
    given = {name: getattr(attack.params, name) for name in attack.params.model_fields_set}
    if "eps" in changes and given.get("alpha") is not None:
        given["alpha"] = given["alpha"] * changes["eps"] / attack.threat().eps
    altered = replace(attack, params=type(attack.params).model_validate({**given, **changes}))
    images, _ = perturb_set(
        altered.build(),
        sample.network,
        sample.data,
        threat=altered.threat(),
        device=sample.context.device,
        seed=sample.context.stream(f"checks/{seed}"),
        precision=sample.context.precision.attacks,
    )
    return sample.right(images)


def _within(sample: Subject, perturbed: Tensor, threat: ThreatModel) -> NDArray[np.uint8]:
    clean = to_device(sample.data.images, perturbed.device)
    images: NDArray[np.uint8] = projected(clean, perturbed.detach(), threat).cpu().numpy()
    return images
