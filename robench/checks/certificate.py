"""All checks of a run, and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robench.attack.perturbation import frozen_for_attack, seeded
from robench.checks.attack import (
    Shared,
    Trial,
    ball,
    early_exit,
    expectation,
    noise,
    random_search,
    resampling,
    single_step,
    surrogate,
)
from robench.checks.comparison import above_clean, white_box
from robench.checks.network import batch_neighbours, check_labels, determinism, gradients, normalisation
from robench.checks.repeated import epsilon, huge_epsilon, logit_scale, restarts, rounding, steps
from robench.checks.slopes import slopes
from robench.checks.verdict import Subject, check
from robench.contracts.context import Progress
from robench.records.record import AttackScore, Check
from robench.registry.constraints import constraint_of
from robench.registry.resolved import ResolvedAttack

Level = Literal["fast", "full", "off"]
LEVELS: tuple[Level, ...] = ("fast", "full", "off")
SAMPLE = 64
"""Images of the sample that checks look at."""

NETWORK_CHECKS: tuple[Callable[[Subject], Check | None], ...] = (
    determinism,
    batch_neighbours,
    gradients,
    slopes,
    normalisation,
)
"""Checks of the network. To them comes ``labels``, the only one that looks at all scored images."""
ATTACK_CHECKS: tuple[Callable[[Trial], Check | None], ...] = (
    ball,
    noise,
    resampling,
    surrogate,
    early_exit,
    expectation,
    single_step,
    random_search,
    epsilon,
    huge_epsilon,
    logit_scale,
    rounding,
    steps,
    restarts,
)
"""Checks of each attack, in this order. One that does not apply returns None."""
RUN_CHECKS: tuple[Callable[[Sequence[AttackScore], Collection[str]], Iterator[Check]], ...] = (white_box,)
"""Checks of all attacks of the run together; they are told the norms in which gradients do not lead."""


def certify(
    subject: Subject,
    attacks: Sequence[tuple[ResolvedAttack, AttackScore]],
    predictions: NDArray[np.int64],
    labels: NDArray[np.int64],
    level: Level,
) -> tuple[Check, ...]:
    """Return the results of all checks of a run.

    Args:
        attacks: The attacks and their scores.
        predictions: The predicted class of each clean scored image, ``int64 (n,)``.
        labels: The labels of the same images, ``int64 (n,)``.
        level: ``full`` adds checks that take long, ``off`` makes none.
    """
    if level == "off":
        return ()
    context, made = subject.context, count()
    total = len(NETWORK_CHECKS) + len(ATTACK_CHECKS) * sum(score.knowledge != "nothing" for _, score in attacks)

    def tell(about: str) -> None:
        context.report(Progress(stage="checks", done=min(next(made), total), total=total, detail=about))

    with seeded(context.stream("checks"), context.device), frozen_for_attack(subject.network):
        found = [result for each in NETWORK_CHECKS if (result := _made(each, subject, tell)) is not None]
        found.append(check_labels(predictions, labels, len(context.dataset.class_names)))
        shared: Shared = {}
        for attack, score in attacks:
            found += check_attack(subject, attack, score, full=level == "full", tell=tell, shared=shared)
    tell("done")
    scores = [score for _, score in attacks]
    found += above_clean(scores, predictions == labels)
    searched = {score.norm for attack, score in attacks if not constraint_of(attack.threat()).gradients_lead}
    return (*found, *(result for each in RUN_CHECKS for result in each(scores, searched)))


def check_attack(
    subject: Subject,
    attack: ResolvedAttack,
    score: AttackScore,
    *,
    full: bool,
    tell: Callable[[str], None] = lambda about: None,
    shared: Shared | None = None,
) -> list[Check]:
    """Return the results of all checks of one attack; a control, which knows nothing of the network, has none.

    `tell` is told the name of each check before it is made. What the simple adversaries leave right is kept in `shared`
    for further attacks of the same run.
    """
    if score.knowledge == "nothing":
        return []
    if score.n < len(subject.data):
        subject = replace(subject, data=subject.data.first(score.n))
    trial = Trial(subject=subject, attack=attack, score=score, full=full, shared={} if shared is None else shared)
    return [found for each in ATTACK_CHECKS if (found := _made(each, trial, tell)) is not None]


def _made(make: Callable[[Any], Check | None], about: Any, tell: Callable[[str], None]) -> Check | None:
    """Return the result of a check; ``incomplete`` if it raises, because checks must never cost a run its figures."""
    tell(make.__name__.replace("_", " "))
    try:
        return make(about)
    except Exception as error:  # checks call plugins and networks in ways of their own
        label = about.label if isinstance(about, Trial) else ""
        reason = f"could not be carried out: {type(error).__name__}: {error}"
        return check(make.__name__.replace("_", " "), "incomplete", reason, label)
