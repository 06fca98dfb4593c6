"""The interface of an attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from robench.contracts import params as parameters
from robench.contracts.configured import Configured
from robench.contracts.params import AttackParams
from robench.contracts.types import Knowledge, Norm, ThreatModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.contracts.context import RunContext


class Attacker(Configured, ABC):
    """Finds perturbed images within a norm ball.

    robench projects what it returns on the ball, rounds it to 8 bits, and counts the errors itself.

    Attributes:
        params: Its parameters, with the radius ``eps``.
        norm: The norm of its ball, unless its parameters have a ``norm``.
        knowledge: What it knows of the network it is given: ``white-box``, ``query`` or ``nothing``.
        projected: Whether what lies outside the ball is projected on it. If not, the clean image stands in its place,
            and the record names it: for images that were made elsewhere.
    """

    Params: ClassVar[type[parameters.Params]] = AttackParams
    params: AttackParams
    norm: ClassVar[Norm] = "Linf"
    knowledge: ClassVar[Knowledge] = "white-box"
    projected: ClassVar[bool] = True

    def threat(self, *, surrogate: bool) -> ThreatModel:
        """Return the threat model; its knowledge is ``transfer`` if gradients come from a `surrogate`."""
        knowledge: Knowledge = "transfer" if surrogate else self.knowledge
        norm: Norm = getattr(self.params, "norm", self.norm)
        return ThreatModel(norm=norm, eps=self.params.eps, knowledge=knowledge)

    def prepare(self, context: RunContext) -> Mapping[str, Any]:
        """Is called once before the first batch; override it to look at the classes or the images of the run.

        An attack must not learn from the split that is scored.

        Returns:
            What it took from `context` that decides its images, as plain JSON values; nothing by default. Cached sets
            are told apart by it.

        Raises:
            SpecError: A parameter does not fit the run; for example no class has a name.
        """
        return {}

    @abstractmethod
    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial versions of `images`, ``float32 (N, 3, H, W)`` in ``[0, 1]``, on the same device.

        torch's global random state is seeded for this batch.

        Args:
            network: From images in ``[0, 1]`` to logits ``(N, n_classes)``, in evaluation mode with frozen weights. It
                answers as the target does, adapter, prompt and defence included. If the attack was asked for
                ``samples=N``, each call returns the mean of N answers.
            images: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
            labels: ``int64 (N,)``.
        """

    def remarks(self) -> Iterable[str]:
        """Return what the record should say of the images that were made, one line each; none by default."""
        return ()

    def perturb_at(self, network: nn.Module, images: Tensor, labels: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return what :meth:`perturb` does. Override it if it matters which images of the split these are.

        Args:
            positions: The position of each image in its split, ``int64 (N,)``.
        """
        return self.perturb(network, images, labels)
