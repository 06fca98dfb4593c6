"""Resolved components as a record states them, and how an attack treats the defence of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from robench.contracts.defence import Defence
from robench.contracts.types import SAMPLES
from robench.errors import SpecError
from robench.records.record import AttackSpec, ComponentSpec
from robench.registry.resolved import Resolved, ResolvedAttack


def component_spec(resolved: Resolved) -> ComponentSpec:
    """Return a component as a record states it."""
    return ComponentSpec(name=resolved.name, params=resolved.values(), label=resolved.label)


def attack_spec(attack: ResolvedAttack, available: int) -> AttackSpec:
    """Return an attack on at most `available` images as a record states it."""
    n = attack.n or available
    if n > available:
        raise SpecError(f"attack {attack.label!r} asks for n={n} images, but the run has only {available}; lower n")
    return AttackSpec(
        name=attack.name,
        params=attack.values(),
        label=attack.label,
        surrogate=component_spec(attack.surrogate) if attack.surrogate else None,
        n=n,
        samples=attack.answers,
        aware=attack.aware,
    )


def defence_spec(defences: Sequence[Resolved]) -> ComponentSpec | tuple[ComponentSpec, ...] | None:
    """Return the defences of a run as a record states them: one alone is no list.

    Raises:
        SpecError: One that proves something has another in front of it, which its proof says nothing of.
    """
    for before, defence in pairwise(defences):
        built: Defence = defence.build()
        if built.certified_images():
            raise SpecError(
                f"{defence.label} proves nothing behind {before.label}, which changes images first; put --defence "
                f"{defence.label} before it, or leave the proof out"
            )
    found = tuple(map(component_spec, defences))
    return found if len(found) > 1 else next(iter(found), None)


def against(attack: ResolvedAttack, defences: Sequence[Resolved]) -> ResolvedAttack:
    """Return `attack` as it is made on a network with `defences`: a random one is asked several times, for its mean.

    Raises:
        SpecError: It says how to treat a defence, and there is none.
    """
    if not defences:
        if attack.aware != "yes":
            raise SpecError(
                f"attack {attack.label!r} sets aware, but nothing defends; expected --defence NAME, or no aware"
            )
        return attack
    random = any(each.build().stochastic for each in defences) and attack.threat().knowledge == "white-box"
    return replace(attack, usual_samples=SAMPLES if random else 1)


def attacked_as(attack: ResolvedAttack, defences: Sequence[Resolved]) -> str | None:
    """Return how `attack` attacks `defences`, such as ``BPDA, EOT 10``; None without one, and for a control."""
    knowledge = attack.threat().knowledge
    if not defences or knowledge == "nothing":
        return None
    ways = {"unaware": "unaware", "transfer": "transfer", "query": "queries", "labels": "queries, labels alone"}
    differentiable = all(each.build().differentiable for each in defences)
    followed = "BPDA" if attack.aware == "bpda" or not differentiable else "adaptive"
    way = ways.get(knowledge, "autograd" if attack.aware == "exact" else followed)
    return way + (f", EOT {attack.answers}" if attack.answers > 1 else "")
