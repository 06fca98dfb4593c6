"""Robust accuracy over several attacks, image by image."""

from __future__ import annotations

from itertools import groupby

from robench.contracts.types import parse_radius
from robench.records.record import AttackScore, Score, WorstCase


def worst_cases(clean: Score, attacks: list[AttackScore]) -> tuple[WorstCase, ...]:
    """Combine attacks of one norm per example: an image counts only if clean and all attacked versions are right.

    A smaller ball lies inside a larger one of the same norm, so the result is a bound at the largest radius.
    It is taken over the images that all of those attacks were given. Controls do not count: they attack nothing.
    """
    found = []
    counted = sorted((attack for attack in attacks if attack.knowledge != "nothing"), key=lambda a: a.norm)
    for norm, group in groupby(counted, key=lambda a: a.norm):
        members = list(group)
        n = min(member.n for member in members)
        robust = clean.mask()[:n]
        for member in members:
            robust &= member.mask()[:n]
        largest = max(members, key=lambda member: parse_radius(member.eps))
        found.append(WorstCase.of(robust, norm=norm, eps=largest.eps, attacks=tuple(m.label for m in members)))
    return tuple(found)
