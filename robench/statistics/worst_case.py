"""Robust accuracy over several attacks, image by image."""

from __future__ import annotations

from itertools import groupby

from robench.contracts.types import parse_radius
from robench.records.record import AttackScore, Score, WorstCase


def worst_cases(clean: Score, attacks: list[AttackScore]) -> tuple[WorstCase, ...]:
    """Return the worst case of each norm: an image counts only if it is right clean and under every attack of the norm.

    Only the images that all these attacks were given count. Controls are left out, because they attack nothing. With
    mixed radii the worst case is only an upper bound at the largest one; the true accuracy there may be far lower.
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
