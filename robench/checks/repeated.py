"""Checks that repeat a white-box attack on the sample: at other radii, with more steps, from another random start."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from robench.attack.perturbation import perturb_set
from robench.attack.seen import prepared, seen_by
from robench.checks import probes
from robench.checks.attack import Trial
from robench.checks.verdict import SIGNIFICANT, check, significantly_more
from robench.contracts.attacker import Attacker
from robench.records.record import Check
from robench.registry.constraints import constraint_of
from robench.statistics.intervals import Mask

REPEATED = 32
"""Images of the sample on which an attack is repeated, unless all checks are asked for."""
BUDGET = 64 * 50
"""Gradients by images that one repetition may take; the images are halved, never below ``FEWEST``."""
FEWEST = 16
LEFT_AT_HUGE = (0.02, 0.10)
"""Robust accuracy at that radius above which to warn, and the highest above which, by a binomial test, to fail."""
FLAT, SPAN = 2.0, 20.0
"""Span of the logits of an image below which they may lack a scale, as cosines do, and the span to compare with."""
GAINED_BY_SCALE = 2
"""Images more that scaled logits must break: few, because a span as small as a cosine's is a sign of its own."""
FEWEST_UNDONE = math.ceil(-math.log2(SIGNIFICANT))
"""Images that rounding must put right for the sign test to see it; each has a chance of one half."""
GAINED = 0.05
"""Share of images that more effort breaks above which to warn: the effort was too little."""


def epsilon(trial: Trial) -> Check | None:
    """Compare robust accuracy at once and twice the radius, and at half if all is asked for; it must not rise."""
    if trial.score.knowledge != "white-box":
        return None
    if not trial.withstood.any():
        return _nothing_left("epsilon", trial)
    trial = _affordable(trial)
    threat = trial.attack.threat()
    scaled = constraint_of(threat).scaled
    half, double = (scaled(threat.eps, factor) for factor in (Fraction(1, 2), Fraction(2)))
    if double is None:
        return None
    radii = [half, double] if trial.full and half is not None else [double]
    masks = [_again(trial, eps=radius) for radius in radii]
    masks.insert(-1, trial.withstood)
    rises = any(significantly_more(larger, than=smaller) for smaller, larger in pairwise(masks))
    rates = ", ".join(f"{100 * mask.mean():.0f}" for mask in masks)
    return check(
        "epsilon",
        "fail" if rises else "pass",
        f"robust accuracy {rates} % of {len(trial.withstood)} images as epsilon doubles"
        + ("; it must not rise" if rises else ""),
        trial.label,
    )


def huge_epsilon(trial: Trial) -> Check | None:
    """Attack where every pixel can turn grey. A failure means that the attack misses what is certainly there."""
    if not trial.iterated:
        return None
    if not trial.withstood.any():
        return _nothing_left("huge epsilon", trial)
    trial = _affordable(trial)
    radius = constraint_of(trial.attack.threat()).huge(trial.subject.data.images.shape[1:])
    if radius is None:
        return None
    right = _again(trial, eps=radius)
    n, count = len(right), int(right.sum())
    chance = 1 / len(trial.subject.context.dataset.class_names)
    # A grey picture is right by chance; an attack that finds what is there leaves fewer, whatever the classes.
    limit = min(max(chance, LEFT_AT_HUGE[0]), LEFT_AT_HUGE[1])
    fails = _above(count, n, limit)
    warns = count > 1 and count / n > LEFT_AT_HUGE[0]
    return check(
        "huge epsilon",
        "fail" if fails else "warn" if warns else "pass",
        f"{count} of {n} stay right where every pixel may turn grey; chance is {100 * chance:.3g} %"
        + ("; the attack does not find what is there" if fails or warns else ""),
        trial.label,
    )


def _above(count: int, n: int, share: float) -> bool:
    from scipy.stats import binomtest

    return bool(binomtest(count, n, share, alternative="greater").pvalue < SIGNIFICANT)


def logit_scale(trial: Trial) -> Check | None:
    """Repeat an iterated attack with logits scaled up where cross-entropy hardly tells the classes apart.

    A warning means that a logit scale was left out, such as the temperature of cosines, and that this hides attacks.
    """
    if not trial.iterated:
        return None
    trial = _affordable(trial)
    images, _ = trial.subject.tensors()
    with torch.no_grad():
        logits = trial.subject.network(images).double()
    span = float((logits.amax(dim=1) - logits.amin(dim=1)).median())
    if not 0 < span < FLAT or probes.are_probabilities(logits) or trial.attack.surrogate is not None:
        return None
    if not trial.withstood.any():
        return _nothing_left("logit scale", trial)
    with _scaled(trial.subject.network, SPAN / span):
        right = _again(trial, scaled=True)
    fewer = int(trial.withstood.sum()) - int(right.sum())
    reason = f"the logits of an image span only {span:.2g}; scaled up to {SPAN:g}, the attack leaves "
    reason += f"{100 * right.mean():.0f} % right, as they are {100 * trial.withstood.mean():.0f} %"
    weak = fewer >= GAINED_BY_SCALE
    return check(
        "logit scale",
        "warn" if weak else "pass",
        reason + ("; was a temperature left out?" if weak else ""),
        trial.label,
    )


@contextlib.contextmanager
def _scaled(network: nn.Module, factor: float) -> Iterator[None]:
    hook = network.register_forward_hook(lambda module, given, logits: logits * factor)
    try:
        yield
    finally:
        hook.remove()


def rounding(trial: Trial) -> Check | None:
    """Compare what an iterated attack returns with its 8-bit rounding, which is what is scored.

    A warning means that rounding undoes the attack, because it stops at the boundary or takes steps below half a level.
    """
    if not trial.iterated:
        return None
    if not trial.withstood.any():
        return _nothing_left("rounding", trial)
    trial = _affordable(trial)
    if (left := int(trial.withstood.sum())) < FEWEST_UNDONE:
        reason = f"{left} of {len(trial.withstood)} withstand the attack, too few for rounding to have undone it"
        return check("rounding", "pass", reason, trial.label)
    raw: list[Tensor] = []
    rounded = _again(trial, raw=raw)
    labels = torch.from_numpy(trial.subject.data.labels)
    with torch.no_grad():
        found = torch.cat([trial.subject.network(images).argmax(dim=1).cpu() for images in raw])
    exact: Mask = (found == labels).numpy()
    undone = significantly_more(rounded, than=exact)
    reason = f"{100 * exact.mean():.0f} % are right before rounding to 8 bits, {100 * rounded.mean():.0f} % after it"
    reason += "; rounding undoes the attack" if undone else ""
    return check("rounding", "warn" if undone else "pass", reason, trial.label)


class _Recording(Attacker):
    """An attack that keeps what it returned before it was rounded."""

    def __init__(self, attack: Attacker, kept: list[Tensor]) -> None:
        self.attack, self.kept = attack, kept

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        found = self.attack.perturb(network, images, labels)
        eps = float(self.attack.threat(surrogate=False).eps)
        within = images + (found.detach() - images).clamp(-eps, eps)
        self.kept.append(within.clamp(0, 1))
        return found


def steps(trial: Trial) -> Check | None:
    """Compare with four times the steps, if all checks are asked for. A warning means too few steps."""
    if not (trial.full and trial.iterated):
        return None
    if not trial.withstood.any():
        return _nothing_left("steps", trial)
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
    if not trial.withstood.any():
        return _nothing_left("restarts", trial)
    gained = float((trial.withstood & ~_again(trial, seed=1)).mean())
    reason = f"another random start breaks {100 * gained:.0f} % more images"
    return check("restarts", "warn" if gained > GAINED else "pass", reason, trial.label)


def _nothing_left(name: str, trial: Trial) -> Check:
    """Return a check that passes: it looks for signs of an attack that finds too little, and this one finds all."""
    return check(name, "pass", f"0 of {len(trial.withstood)} withstand the attack; another finds no more", trial.label)


def _affordable(trial: Trial) -> Trial:
    """Return `trial` on so many images that repeating it stays within ``BUDGET``; all of them if all is asked for.

    The number follows from the parameters of the attack, never from a clock, so every machine makes the same checks.
    """
    if trial.full:
        return trial
    values = trial.attack.params.model_dump()
    known = [values[name] for name in ("steps", "search_steps", "restarts", "neighbours") if name in values]
    gradients = int(np.prod([int(value) for value in known if isinstance(value, int)])) if known else 1
    gradients *= trial.attack.answers
    n = min(len(trial.subject.data), REPEATED)
    while n > FEWEST and n * gradients > BUDGET:
        n = max(FEWEST, n // 2)
    return replace(trial, subject=replace(trial.subject, data=trial.subject.data.first(n)))


def _again(
    trial: Trial, *, seed: int = 0, raw: list[Tensor] | None = None, scaled: bool = False, **changes: object
) -> Mask:
    """Return which images of the sample withstand the attack with other parameters or another random start.

    What another attack of the run has repeated in the same way already, such as the same at a huge radius, is not made
    again.

    Args:
        raw: Gets what the attack returned before rounding.
        scaled: Whether the logits are scaled up, so that nothing is shared.
    """
    attack, subject = trial.attack, trial.subject
    given = {name: getattr(attack.params, name) for name in attack.params.model_fields_set}
    if "eps" in changes and given.get("alpha") is not None:
        given["alpha"] = given["alpha"] * changes["eps"] / attack.threat().eps
    changed = replace(attack, params=type(attack.params).model_validate({**given, **changes}))
    same = (changed.name, str(changed.params), str(changed.surrogate), changed.answers, changed.aware)
    key = ("again", *same, seed, len(subject.data))
    if raw is None and not scaled and key in trial.shared:
        return np.array(list(trial.shared[key].values()), bool)
    attacker, _ = prepared(changed, subject.context)
    images, _ = perturb_set(
        attacker if raw is None else _Recording(attacker, raw),
        seen_by(changed, subject.network),
        subject.data,
        threat=changed.threat(),
        device=subject.context.device,
        seed=subject.context.stream(f"checks/{seed}"),
        precision=subject.context.precision.attacks,
    )
    right = subject.right(images)
    if not scaled:
        trial.shared[key] = dict(enumerate(right.tolist()))
    return right
