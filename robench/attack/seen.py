"""What an attack is given: the network as it sees it, and what it may know of the run."""

from __future__ import annotations

from typing import Any

from torch import nn

from robench.contracts.attacker import Attacker
from robench.contracts.context import RunContext
from robench.networks.defended import Defended, MeanOfAnswers
from robench.registry.resolved import ResolvedAttack


def seen_by(attack: ResolvedAttack, network: nn.Module) -> nn.Module:
    """Return `network` as `attack` sees it: with its defence or without, and asked once or several times."""
    if isinstance(network, Defended) and attack.aware != "yes":
        network = network.seen(attack.aware)
    if attack.answers == 1:
        return network
    return MeanOfAnswers(network, attack.answers, votes=attack.threat().knowledge == "labels")


def prepared(attack: ResolvedAttack, context: RunContext) -> tuple[Attacker, dict[str, Any]]:
    """Return the attack, told of the run, and what it took from there that decides its images."""
    attacker: Attacker = attack.build()
    return attacker, dict(attacker.prepare(context))
