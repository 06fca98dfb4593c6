"""Robust accuracy over several attacks, image by image, for each norm or for each ball."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from robench.contracts.types import USUAL_NORM
from robench.statistics.intervals import Mask

if TYPE_CHECKING:
    from robench.records.record import AttackScore, Score, WorstCase


@lru_cache(maxsize=4096)  # many records have the same few radii
def _radius(text: str) -> Fraction:
    from robench.records.limits import radius  # here, as tables of balls are shown without a single record

    return radius(text)


def worst_cases(clean: Score, attacks: list[AttackScore]) -> tuple[WorstCase, ...]:
    """Return the worst case of each norm: an image counts only if it is right clean and under every attack of the norm.

    Only the images that all these attacks were given count. Controls are left out, because they attack nothing. With
    mixed radii the worst case is only an upper bound at the largest one; the true accuracy there may be far lower.
    """
    from robench.records.record import WorstCase  # here, as tables of balls are shown without a single record

    found = []
    counted = sorted((attack for attack in attacks if attack.knowledge != "nothing"), key=lambda a: a.norm)
    for norm, group in groupby(counted, key=lambda a: a.norm):
        members = list(group)
        n = min(member.n for member in members)
        robust = clean.mask()[:n]
        for member in members:
            robust &= member.mask()[:n]
        largest = max(members, key=lambda member: _radius(member.eps))
        found.append(WorstCase.of(robust, norm=norm, eps=largest.eps, attacks=tuple(m.label for m in members)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Ball:
    """A norm and radius at which some attack was made.

    Attributes:
        eps: The radius as recorded, such as ``8/255``.
        measured: Whether a white-box attack was made at exactly this radius. If not, accuracy under the attacks within
            the ball is only an upper bound of robust accuracy.
        n: The number of images that all attacks within the ball were given.
    """

    norm: str
    eps: str
    measured: bool
    n: int


def balls(attacks: Sequence[AttackScore]) -> list[Ball]:
    """Return the balls of `attacks`, Linf first, and then by radius; controls attack nothing and have none."""
    counted = [attack for attack in attacks if attack.knowledge != "nothing"]
    found: dict[tuple[str, Fraction], list[AttackScore]] = {}
    for attack in counted:
        found.setdefault((attack.norm, _radius(attack.eps)), []).append(attack)
    return [
        Ball(
            norm=norm,
            eps=at[0].eps,
            measured=any(attack.knowledge == "white-box" for attack in at),
            n=min(attack.n for attack in counted if attack.norm == norm and _radius(attack.eps) <= radius),
        )
        for (norm, radius), at in sorted(found.items(), key=lambda each: (each[0][0] != USUAL_NORM, each[0]))
    ]


def within_balls(clean: Score, attacks: Sequence[AttackScore]) -> list[tuple[Ball, Mask]]:
    """Return each ball of `attacks`, and which of its n images are right clean and under every attack within it.

    Returns:
        The balls in the order of :func:`balls`, each with ``bool (n,)``.
    """
    right, masks = clean.mask(), {attack.label: attack.mask() for attack in attacks}
    found = []
    for ball in balls(attacks):
        robust = right[: ball.n].copy()
        for label in attacks_within(ball, attacks):
            robust &= masks[label][: ball.n]
        found.append((ball, robust))
    return found


def attacks_within(ball: Ball, attacks: Sequence[AttackScore]) -> list[str]:
    """Return the labels of those `attacks` that stay within `ball`; controls, which attack nothing, are left out."""
    return [
        attack.label
        for attack in attacks
        if attack.knowledge != "nothing" and attack.norm == ball.norm and _radius(attack.eps) <= _radius(ball.eps)
    ]
