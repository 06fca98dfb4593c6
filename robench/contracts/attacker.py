"""The interface of an attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from robench.contracts import params as parameters
from robench.contracts.configured import Configured
from robench.contracts.params import AttackParams
from robench.contracts.types import Knowledge, Norm, ThreatModel

if TYPE_CHECKING:
    from torch import Tensor, nn


class Attacker(Configured, ABC):
    """Finds perturbed images within a norm ball. The core re-projects, rounds and judges what it returns."""

    Params: ClassVar[type[parameters.Params]] = AttackParams
    params: AttackParams
    norm: ClassVar[Norm] = "Linf"
    knowledge: ClassVar[Knowledge] = "white-box"

    def threat(self, *, surrogate: bool) -> ThreatModel:
        """Return the threat model, given whether gradients come from a surrogate instead of the target."""
        knowledge: Knowledge = "transfer" if surrogate else self.knowledge
        norm: Norm = getattr(self.params, "norm", self.norm)
        return ThreatModel(norm=norm, eps=self.params.eps, knowledge=knowledge)

    @abstractmethod
    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial images, ``float32 (N, 3, H, W)`` in ``[0, 1]``, on the device of `images`.

        `network` is in evaluation mode with frozen weights; the global random state is seeded for this batch.
        """
