"""Tuners made of an adaptation and an objective."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import create_model
from torch import nn

from robench.contracts.params import Params
from robench.contracts.tuning import Adaptation, Objective, Tuner, TuningTask
from robench.errors import PluginError
from robench.images.augmentation import augment
from robench.train.loop import Training
from robench.train.params import TrainingParams


class Product(Tuner):
    """The tuner behind every ``ADAPTATION+OBJECTIVE``: what may change, and what is optimised."""

    Params: ClassVar[type[Params]] = TrainingParams
    params: TrainingParams
    adaptation: ClassVar[type[Adaptation]]
    objective: ClassVar[type[Objective]]

    def __init__(self, params: TrainingParams | None = None) -> None:
        super().__init__(params)
        self._adaptation = self.adaptation(self.params)
        self._objective = self.objective(self.params)

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Return the files of both halves."""
        return {**super().files(params), **cls.adaptation.files(params), **cls.objective.files(params)}

    def adversary(self) -> str | None:
        """Return the attack that makes the training images, or None."""
        return self.params.attack(self._objective.white_box(self.params.eps))

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Show the network to the objective, then adapt it.

        Raises:
            PluginError: The adaptation or the objective does not fit the network.
        """
        self._objective.prepare(network)
        self._adaptation.adapt(network, parts)

    def drawn(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many images of each class an epoch uses."""
        balance = self.params.balance
        return tuple(balance if count else 0 for count in counts) if balance else counts

    def augmented(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8] | None:
        """Return `images` ``uint8 (N, 3, H, W)`` changed by the recipe ``augment``; None without one."""
        if self.params.augment == "none":
            return None
        return augment(images, seed + np.arange(len(images)), self.params.augment)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train, and return the history, one row an epoch."""
        return Training(task, self.params, self._adaptation, self._objective).run()

    def settle(self, network: nn.Module) -> None:
        """Fold what was learned into the weights, so that attacks are faster."""
        self._adaptation.merge(network)


@cache
def product(name: str, adaptation: type[Adaptation], objective: type[Objective]) -> type[Product]:
    """Return the class of the tuner `name`. It has the parameters of its adaptation, of its objective and of training.

    Raises:
        PluginError: Two of these have a parameter of the same name.
    """
    owners: dict[str, type[Params]] = {
        "adaptation": adaptation.Params,
        "objective": objective.Params,
        "training": TrainingParams,
    }
    seen: dict[str, str] = {}
    for owner, params in owners.items():
        for key in params.model_fields:
            if key in seen:
                raise PluginError(f"tuner {name!r}: its {seen[key]} and its {owner} both have a parameter {key!r}")
            seen[key] = owner
    bases = tuple(params for params in owners.values() if params is not Params)
    merged: type[Params] = create_model(f"{name} parameters", __base__=bases)
    documentation = "\n\n".join(
        f"{role}: {inspect.getdoc(half)}" for role, half in (("What changes", adaptation), ("Objective", objective))
    )
    members = {"Params": merged, "adaptation": adaptation, "objective": objective, "__doc__": documentation}
    return type(name, (Product,), members)
