"""The validity certificate of a run: signs that its robustness cannot be believed, looked for on a small sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robench.attack.perturbation import frozen_for_attack, seeded
from robench.checks.attack import check_attack
from robench.checks.judge import Subject, check, no_weaker
from robench.checks.network import check_labels, check_network, check_normalisation
from robench.records.record import AttackScore, Check
from robench.registry.resolved import ResolvedAttack

Level = Literal["fast", "full", "off"]
LEVELS: tuple[Level, ...] = ("fast", "full", "off")
SAMPLE = 64
"""Images on which attacks are repeated."""


def certify(
    subject: Subject,
    attacks: Sequence[tuple[ResolvedAttack, AttackScore]],
    predictions: NDArray[np.int64],
    labels: NDArray[np.int64],
    level: Level,
) -> tuple[Check, ...]:
    """Return all checks of a run; one that cannot be carried out says why.

    Args:
        attacks: With what they found.
        predictions: On clean images, ``int64 (n,)``.
        labels: Of the same images.
    """
    if level == "off":
        return ()
    context = subject.context
    with seeded(context.stream("checks"), context.device), frozen_for_attack(subject.network):
        found = [*check_network(subject), check_normalisation(subject)]
        found.append(check_labels(predictions, labels, len(context.dataset.class_names)))
        for attack, score in attacks:
            found += _attempt(subject, attack, score, full=level == "full")
    scores = [score for _, score in attacks]
    return (*found, *_knowledge(scores))


def _attempt(subject: Subject, attack: ResolvedAttack, score: AttackScore, *, full: bool) -> list[Check]:
    try:
        return list(check_attack(subject, attack, score, full=full))
    except Exception as error:  # a check, which calls plugins in ways of its own, never costs a run its figures
        return [check("checks", "warn", f"could not be carried out: {type(error).__name__}: {error}", attack.label)]


def _knowledge(scores: Sequence[AttackScore]) -> Iterator[Check]:
    """Compare attacks that know more with those that know less, on the images they share."""
    white = [score for score in scores if score.knowledge == "white-box"]
    blind = [score for score in scores if score.knowledge in ("transfer", "query")]
    if blind and not white:
        yield check("white-box", "warn", "no white-box attack was made, so that nothing bounds what transfers")
    for weak in blind:
        rivals = [score for score in white if (score.norm, score.eps) == (weak.norm, weak.eps)]
        n = min((score.n for score in (weak, *rivals)), default=0)
        if rivals:
            # All of them together: that a single step is weaker than iterated images from elsewhere means nothing.
            found = np.logical_and.reduce([score.mask()[:n] for score in rivals])
            names = ", ".join(score.label for score in rivals)
            yield no_weaker("white-box", names, found, weak.mask()[:n], weak.label, "masked gradients?")
