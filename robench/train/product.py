"""Tuners made of an adaptation and an objective."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.contracts.params import Params
from robench.contracts.setting import TuningSetting
from robench.contracts.tuning import Adaptation, Objective, Tuner, TuningTask
from robench.errors import PluginError
from robench.images.augmentation import augment
from robench.train.loop import Training
from robench.train.namespaces import merged, own
from robench.train.params import TrainingParams


class Product(Tuner):
    """The tuner behind every ``ADAPTATION+OBJECTIVE``: what may change, and what is optimised."""

    Params: ClassVar[type[Params]] = TrainingParams
    params: TrainingParams
    adaptation: ClassVar[type[Adaptation]]
    objective: ClassVar[type[Objective]]

    def __init__(self, params: TrainingParams | None = None) -> None:
        super().__init__(params)
        self._adaptation = self.adaptation(own("adaptation", self.adaptation.Params, self.params))
        self._objective = self.objective(own("objective", self.objective.Params, self.params))

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Return the files of both halves."""
        files = dict(super().files(params))
        for role, half in (("adaptation", cls.adaptation), ("objective", cls.objective)):
            files |= half.files(own(role, half.Params, params))
        return files

    def set_up(self, setting: TuningSetting) -> None:
        """Tell both halves of the network and the run."""
        super().set_up(setting)
        self._adaptation.set_up(setting)
        self._objective.set_up(setting)

    def adversary(self) -> str | None:
        """Return the attack that makes the training images, or None."""
        return self.params.attack(self._objective.white_box(self.params.eps))

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Show the network to the objective, then adapt it.

        Raises:
            PluginError: The adaptation or the objective does not fit the network.
        """
        before = set(network.parameters())
        self._objective.prepare(network)
        self._adaptation.adapt(network, parts)
        added = [name for name, weight in network.named_parameters() if weight.requires_grad and weight not in before]
        if self.params.wise < 1 and added:
            raise PluginError(
                f"wise={self.params.wise} interpolates weights that the network had before, and this adaptation adds "
                f"{added[0]}; expected one such as full, last-n, ln or head"
            )

    def drawn(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many images of each class an epoch uses."""
        balance = self.params.balance
        return tuple(balance if count else 0 for count in counts) if balance else counts

    def augmented(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8] | None:
        """Return `images` ``uint8 (N, 3, H, W)`` changed by the recipe ``augment``; None without one."""
        if self.params.augment == "none":
            return None
        return augment(images, seed + np.arange(len(images)), self.params.augment)

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the summands of the objective's loss by name, as :meth:`Objective.terms` describes them."""
        return self._objective.terms(network, clean, adversarial, labels)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train, and return the history, one row an epoch."""
        return Training(task, self.params, self._adaptation, self._objective).run()

    def settle(self, network: nn.Module) -> None:
        """Fold what was learned into the weights, so that attacks are faster."""
        self._adaptation.merge(network)


@cache
def product(name: str, adaptation: type[Adaptation], objective: type[Objective]) -> type[Product]:
    """Return the class of the tuner `name`. It has the parameters of its adaptation, of its objective and of training.

    A parameter of a half whose name another half or the training has, too, is called ``adaptation.NAME`` or
    ``objective.NAME``.
    """
    documentation = "\n\n".join(
        f"{role}: {inspect.getdoc(half)}" for role, half in (("What changes", adaptation), ("Objective", objective))
    )
    members = {
        "Params": merged(f"{name} parameters", {"adaptation": adaptation.Params, "objective": objective.Params}),
        "adaptation": adaptation,
        "objective": objective,
        "__doc__": documentation,
    }
    return type(name, (Product,), members)
