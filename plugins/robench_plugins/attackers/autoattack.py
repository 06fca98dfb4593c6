"""AutoAttack: four attacks in turn, each on the images that withstood the earlier ones."""

from __future__ import annotations

from typing import Literal

import torch
from robench import Attacker, Field, Later, Params
from torch import Tensor, nn

from robench_plugins.attackers.apgd import APGDCE, APGDDLR, APGDT
from robench_plugins.attackers.eight_bit import nearest_in_ball, predicted
from robench_plugins.attackers.fab import FAB
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.params import L1Params
from robench_plugins.attackers.square import Square

RESTARTS_L1 = 5
"""Starts of APGD-CE in L1, as in the authors' code."""


class AutoAttackParams(L1Params):
    """Parameters of AutoAttack; only the defaults are its standard version."""

    steps: int = Field(default=100, ge=1, description="gradient steps of each attack and target class")
    queries: int = Field(default=5000, ge=1, description="most queries of Square Attack for each image")
    attacks: Literal["standard", "ce-t", "ce-dlr"] = Later(
        "standard", description="standard: all four; ce-t: APGD-CE and APGD-T; ce-dlr: APGD-CE and APGD-DLR"
    )


class AutoAttack(Attacker):
    """Several attacks in turn. Papers on robust CLIPs call three different lists AutoAttack:

    - ``autoattack``: APGD-CE, APGD-T, FAB-T and Square Attack, its standard version, which RobustBench uses.
    - ``autoattack-ce-t``: APGD-CE and APGD-T. RobustVLM uses it (FARE, and TeCoA in its tables), and papers at its
      protocol.
    - ``autoattack-ce-dlr``: APGD-CE and APGD-DLR. The code of TeCoA and of TTC uses it, and papers that build on them.

    A fourth is the code of torchattacks, ``torchattacks-autoattack``.

    There are up to 9 target classes. APGD-T needs 4 classes: with 3, APGD-DLR replaces it, and with 2 it is left out.
    In L1 APGD-CE starts five times, and APGD-T has up to 5 target classes, as in the authors' code. Success is judged
    on 8-bit images, as robench does, so that rounding undoes none. An image that withstands all is returned as APGD-CE
    left it.

    Source: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", ICML 2020 (arXiv:2003.01690), section 6, with the authors' code of the four.
    """

    Params = AutoAttackParams
    params: AutoAttackParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return for each image the first 8-bit success, or without one the result of APGD-CE.

        Raises:
            SpecError: The network has a single class.
        """
        n = require_classes(2, network, images, "autoattack", "noise")
        threat = self.threat(surrogate=False)
        found, robust = images.clone(), torch.ones_like(labels, dtype=torch.bool)
        for number, attack in enumerate(self.attacks(n)):
            left = robust.nonzero().flatten()
            if not len(left):
                break
            points = attack.perturb(network, images[left], labels[left])
            points = nearest_in_ball(images[left], points, threat)
            fooled = predicted(network, points) != labels[left]
            kept = fooled | (number == 0)
            found[left[kept]] = points[kept]
            robust[left[fooled]] = False
        return found

    def attacks(self, n_classes: int) -> list[Attacker]:
        """Return the attacks in order, for a network with `n_classes` classes."""
        ball = {"norm": self.params.norm, "eps": self.params.eps}

        def make(kind: type[Attacker], **settings: object) -> Attacker:
            params: Params = kind.Params.read({**ball, **settings}, "autoattack")
            attack = kind(params)
            attack.constraint = self.constraint
            return attack

        steps = self.params.steps
        ratio = [APGDT] if n_classes >= 4 else [APGDDLR] if n_classes == 3 else []
        if self.params.attacks == "ce-dlr":
            ratio = [APGDDLR] if n_classes >= 3 else []
        starts = RESTARTS_L1 if self.params.norm == "L1" else 1
        found = [make(kind, steps=steps) for kind in [APGDCE] * starts + ratio]
        if self.params.attacks != "standard":
            return found
        return [
            *found,
            make(FAB, steps=steps, targeted=True),
            make(Square, queries=self.params.queries + 1, rescale=False),  # as the authors' code counts them
        ]
