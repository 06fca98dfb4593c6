"""Attacks that may be led to a class of the user's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from robench import Attacker, AttackParams, Later, RunContext, SpecError
from torch import Tensor

NAMED = ("random", "next")
"""Targets that need no logits."""


class TargetParams(AttackParams):
    """The target class."""

    target: str = Later(
        "",
        description="class to reach: random, next, the name of a class or its number from 0; none if not given",
    )


class Targeted(Attacker):
    """An attack whose ``target`` is where it leads.

    robench counts every misclassification as a success. An image whose label is the target stays clean.
    """

    Params = TargetParams
    params: TargetParams
    _class: int | None = None

    def prepare(self, context: RunContext) -> Mapping[str, Any]:
        """Look up the class that ``target`` names.

        Raises:
            SpecError: There is none.
        """
        target = self.params.target
        if not target or target in NAMED:
            return {}
        self._class = class_number(target, context, NAMED)
        return {"target": self._class}

    def targets(self, labels: Tensor, n_classes: int) -> Tensor:
        """Return the target class of each image, ``int64 (N,)``; its label where it is not to be attacked.

        Raises:
            SpecError: The target is a name that nobody looked up, or no class of the network.
        """
        target = self.params.target
        if target == "next":
            return (labels + 1) % n_classes
        if target == "random":
            shift = torch.randint(max(1, n_classes - 1), labels.shape, device=labels.device)
            return (labels + 1 + shift) % n_classes
        wanted = self._class
        if wanted is None:
            if not (target.isdecimal() and int(target) < n_classes):
                raise SpecError(
                    f"target={target} needs a run, which knows the classes; expected a number below {n_classes}"
                )
            wanted = int(target)
        return torch.full_like(labels, wanted)


def class_number(target: str, context: RunContext, others: tuple[str, ...]) -> int:
    """Return the class that `target` names or numbers.

    Args:
        others: What else a target may be, for the message.

    Raises:
        SpecError: There is no such class.
    """
    names = list(context.dataset.class_names)
    if target in names:
        return names.index(target)
    if target.isdecimal() and int(target) < len(names):
        return int(target)
    known = f"one of {', '.join(others)}, a number below {len(names)}, or a class: {', '.join(names)}"
    raise SpecError(f"target={target} is no class of {context.dataset_name}; expected {known[:300]}")
