"""The interface of an attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from robench.contracts import params as parameters
from robench.contracts import returned
from robench.contracts.configured import Configured
from robench.contracts.params import AttackParams
from robench.contracts.types import ASKING, USUAL_NORM, Knowledge, ThreatModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.contracts.constraint import Constraint
    from robench.contracts.context import RunContext


class Attacker(Configured, ABC):
    """Finds perturbed images within a ball, such as that of a norm.

    robench projects what it returns on the ball, rounds it to 8 bits, and counts the errors itself.

    Attributes:
        params: Its parameters, with the radius ``eps``.
        norm: The name of the constraint that its ball is of, unless its parameters have a ``norm``.
        constraint: That constraint; robench sets it, and it is None in an attack that a plugin makes itself.
        knowledge: What it knows of the network it is given: ``white-box``, ``query``, ``labels`` or ``nothing``. With
            ``query`` or ``labels`` no gradient passes, robench counts what is asked about each image, and a parameter
            ``queries`` is the most that it answers; see :func:`robench.ask`.
        projected: Whether what lies outside the ball is projected on it. If not, the clean image stands in its place,
            and the record names it: for images that were made elsewhere.
    """

    Params: ClassVar[type[parameters.Params]] = AttackParams
    params: AttackParams
    norm: ClassVar[str] = USUAL_NORM
    constraint: Constraint | None = None
    knowledge: ClassVar[Knowledge] = "white-box"
    projected: ClassVar[bool] = True

    @returned.returns(returned.instance(ThreatModel, "a robench.ThreatModel"))
    def threat(self, *, surrogate: bool) -> ThreatModel:
        """Return the threat model; its knowledge is ``transfer`` if gradients come from a `surrogate`."""
        knowledge: Knowledge = "transfer" if surrogate else self.knowledge
        norm: str = getattr(self.params, "norm", self.norm)
        queries = getattr(self.params, "queries", None) if knowledge in ASKING else None
        return ThreatModel(
            norm=norm, eps=self.params.eps, knowledge=knowledge, queries=queries, constraint=self.constraint
        )

    @returned.returns(returned.mapping)
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
    @returned.returns(returned.images_like)
    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial versions of `images`, ``float32 (N, 3, H, W)`` in ``[0, 1]``, on the same device.

        torch's global random state is seeded for this batch.

        Args:
            network: From images in ``[0, 1]`` to logits ``(N, n_classes)``, in evaluation mode with frozen weights. It
                answers as the target does, adapter, prompt and defence included. If the attack was asked for
                ``samples=N``, each call returns the mean of N answers. For an attack of ``labels`` the logits are 1 for
                the predicted class and 0 for the others.
            images: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
            labels: ``int64 (N,)``.
        """

    @returned.returns(returned.lines)
    def remarks(self) -> Iterable[str]:
        """Return what the record should say of the images that were made, one line each; none by default."""
        return ()

    @returned.returns(returned.images_like)
    def perturb_at(self, network: nn.Module, images: Tensor, labels: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return what :meth:`perturb` does. Override it if it matters which images of the split these are.

        Args:
            positions: The position of each image in its split, ``int64 (N,)``.
        """
        return self.perturb(network, images, labels)
