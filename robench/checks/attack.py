"""Checks of one attack, from its results and from simpler adversaries that it must beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from robench.attack.projection import project
from robench.checks import probes
from robench.checks.verdict import Subject, check, must_beat, significantly_more
from robench.images.image_set import to_device
from robench.records.record import AttackScore, Check
from robench.registry.constraints import constraint_of
from robench.registry.resolved import ResolvedAttack
from robench.statistics.intervals import Mask

Shared = dict[tuple[object, ...], dict[int, bool]]
"""Whether an image, by its place in the sample, withstands an adversary, by what this is: its name and ball, say."""
QUERIES, FIRST = 100, 25
"""Queries of the random search beside a white-box attack, and after how many it ends if they break no image."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One attack of a run, as its checks see it.

    Attributes:
        subject: The network, and those images of its sample that the attack was given.
        attack: The attack.
        score: Its score over all images of the run.
        full: Whether to make checks that take long.
        shared: What simple adversaries and repeated attacks left right, for all attacks of the run.
    """

    subject: Subject
    attack: ResolvedAttack
    score: AttackScore
    full: bool
    shared: Shared = field(default_factory=dict)

    @property
    def withstood(self) -> Mask:
        """Which images of the sample are right under the attack, ``bool (n,)``."""
        return self.score.mask()[: len(self.subject.data)]

    @property
    def label(self) -> str:
        """The attack's label."""
        return self.attack.label

    @property
    def iterated(self) -> bool:
        """Whether the attack is white-box and takes steps."""
        return self.score.knowledge == "white-box" and "steps" in type(self.attack.params).model_fields

    def within_ball(self, perturbed: Tensor) -> NDArray[np.uint8]:
        """Return `perturbed` ``float32 (n, 3, H, W)`` as 8-bit images within the attack's ball."""
        clean = to_device(self.subject.data.images, perturbed.device)
        images: NDArray[np.uint8] = project(clean, perturbed.detach(), self.attack.threat()).cpu().numpy()
        return images

    def against(
        self, adversary: str, perturb: Callable[[Subject], Tensor | None], asked: Mask | None = None
    ) -> Mask | None:
        """Return which images withstand a simple adversary, ``bool (n,)``; attacks within one ball share the answers.

        None if the adversary means nothing in this ball.

        Args:
            adversary: Its name.
            perturb: Makes its images of some of the sample, ``float32 (m, 3, H, W)``; called for each image once.
            asked: Which images are asked for, ``bool (n,)``; False is returned for others. Default: all.
        """
        n, threat = len(self.subject.data), self.attack.threat()
        asked = np.ones(n, bool) if asked is None else asked
        known = self.shared.setdefault((adversary, threat.norm, threat.eps), {})
        if len(missing := [index for index in np.flatnonzero(asked).tolist() if index not in known]):
            part = self
            if len(missing) < n:
                part = replace(self, subject=replace(self.subject, data=self.subject.data.only(np.array(missing))))
            if (found := perturb(part.subject)) is None:
                return None
            right = part.subject.right(part.within_ball(found))
            known.update(zip(missing, right.tolist(), strict=True))
        return np.array([asked[index] and known[index] for index in range(n)], bool)


def ball(trial: Trial) -> Check:
    """State the largest change, which the core keeps within the radius. A failure means that nothing was changed."""
    largest, threat = trial.score.largest_norm, trial.attack.threat()
    told = constraint_of(threat).told
    still = largest == 0 and threat.eps > 0
    reason = f"largest change {told(largest)} of {told(float(threat.eps))} allowed"
    return check("ball", "fail" if still else "pass", reason + ("; no image was changed" if still else ""), trial.label)


def noise(trial: Trial) -> Check:
    """Compare with random noise of the same length, which every attack must beat and an iterated one clearly."""
    threat = trial.attack.threat()
    noisy = trial.against("noise", lambda subject: probes.noise(subject.tensors()[0], threat))
    assert noisy is not None, "every ball has noise"
    found = must_beat("noise", trial.label, trial.withstood, noisy, "random noise of the same length")
    if found.verdict == "fail":
        return found
    weaker = significantly_more(trial.withstood, than=noisy, level=0.05)
    alike = (
        trial.iterated and noisy.any() and trial.withstood.any() and not significantly_more(noisy, than=trial.withstood)
    )
    if not (weaker or alike):
        return found
    return check("noise", "warn", f"{found.reason}; the attack does not clearly beat noise", trial.label)


def random_search(trial: Trial) -> Check | None:
    """Compare a white-box attack with a short random search. A failure means masked gradients or a weak attack.

    The search looks at images that the attack leaves right, and at the others only if it breaks so many of these that
    the attack may be the weaker of both.
    """
    if not trial.iterated:
        return None
    withstood, threat = trial.withstood, trial.attack.threat()

    def search(subject: Subject) -> Tensor:
        return probes.random_search(subject.network, *subject.tensors(), threat, QUERIES, FIRST)

    right, what = trial.against("random search", search, withstood), f"a random search of up to {QUERIES} queries"
    assert right is not None
    if significantly_more(withstood, than=right):
        right = trial.against("random search", search)
        assert right is not None
        return must_beat("random search", trial.label, withstood, right, what, "masked gradients?")
    left, broken = int(withstood.sum()), int((withstood & ~right).sum())
    reason = f"{what} breaks {broken} of the {left} that the attack leaves right, of {len(withstood)} images"
    return check("random search", "pass", reason, trial.label)


def resampling(trial: Trial) -> Check:
    """Compare with resizing images and back, which attacks nothing."""
    resized = trial.subject.right_resampled
    weak = significantly_more(trial.withstood, than=resized)
    return check(
        "resampling",
        "warn" if weak else "pass",
        f"resizing to {probes.RESAMPLED} pixels and back leaves {100 * resized.mean():.0f} % right, the attack "
        f"{100 * trial.withstood.mean():.0f} %" + ("; it costs less than no attack at all" if weak else ""),
        trial.label,
    )


def surrogate(trial: Trial) -> Check | None:
    """See that the surrogate knows the classes and is fooled. If not, its weights, input or class order are wrong."""
    score = trial.score
    if score.surrogate is None:
        return None
    counts = score.surrogate.clean_correct, score.surrogate.adversarial_correct
    clean, attacked = (100 * count / score.n for count in counts)
    weak = clean < 50 or attacked > clean / 2
    reason = f"the surrogate classifies {clean:.0f} % of the clean images correctly, {attacked:.0f} % of the attacked"
    return check("surrogate", "warn" if weak else "pass", reason, score.label)


def early_exit(trial: Trial) -> Check | None:
    """Warn if images stop as soon as they fool the surrogate, so that fewer of them transfer."""
    if trial.score.surrogate is None or not getattr(trial.attack.params, "early_exit", False):
        return None
    reason = "images stop as soon as they fool the surrogate; more transfer without early_exit"
    return check("early exit", "warn", reason, trial.label)


def expectation(trial: Trial) -> Check | None:
    """Warn if a random defence is attacked by the gradient of one answer, and not of the mean of several."""
    if not trial.subject.random or trial.score.knowledge != "white-box" or trial.attack.answers > 1:
        return None
    reason = "the defence is random, and the attack follows single answers; samples=10 averages"
    return check("expectation", "warn", reason, trial.label)


def single_step(trial: Trial) -> Check | None:
    """Compare an iterated white-box attack with one full step along the gradient.

    A failure means masked gradients, or a step size that does not fit.
    """
    if not trial.iterated:
        return None
    threat = trial.attack.threat()
    right = trial.against(
        "single step", lambda subject: probes.single_step(subject.tensors()[0], subject.gradient, threat)
    )
    if right is None:
        return None
    what = "a single step along the gradient"
    return must_beat("single step", trial.label, trial.withstood, right, what, "masked gradients?")
