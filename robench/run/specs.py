"""Resolved components as a record states them, and how an attack treats the defence of a run."""

from __future__ import annotations

from dataclasses import replace

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


def against(attack: ResolvedAttack, defence: Resolved | None) -> ResolvedAttack:
    """Return `attack` as it is made on a network with `defence`: a random one is asked several times, for its mean.

    Raises:
        SpecError: It says how to treat a defence, and there is none.
    """
    if defence is None:
        if attack.aware != "yes":
            raise SpecError(
                f"attack {attack.label!r} sets aware, but nothing defends; expected --defence NAME, or no aware"
            )
        return attack
    built: Defence = defence.build()
    random = built.stochastic and attack.threat().knowledge == "white-box"
    return replace(attack, usual_samples=SAMPLES if random else 1)


def attacked_as(attack: ResolvedAttack, defence: Resolved | None) -> str | None:
    """Return how `attack` attacks `defence`, such as ``BPDA, EOT 10``; None without one, and for a control."""
    knowledge = attack.threat().knowledge
    if defence is None or knowledge == "nothing":
        return None
    ways = {"unaware": "unaware", "transfer": "transfer", "query": "queries"}
    built: Defence = defence.build()
    followed = "BPDA" if attack.aware == "bpda" or not built.differentiable else "adaptive"
    way = ways.get(knowledge, "autograd" if attack.aware == "exact" else followed)
    return way + (f", EOT {attack.answers}" if attack.answers > 1 else "")
