"""The interface Tuner, and the two halves of most tuners: Adaptation and Objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from robench.contracts import returned
from robench.contracts.context import RunContext
from robench.contracts.params import Params
from robench.contracts.setting import Told
from robench.images.image_set import ImageSet
from robench.storage.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

    Score = Callable[[Tensor], Tensor]


class Adversary(Protocol):
    """Makes adversarial versions of training images."""

    def __call__(
        self, indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None
    ) -> Tensor:
        """Return adversarial versions ``float32 (N, 3, H, W)`` in ``[0, 1]`` of a batch of training images.

        A white-box adversary attacks `images` on the network as it is now. One on a surrogate has made its images
        beforehand, and looks them up.

        Args:
            indices: The positions of the images in ``task.train``, ``int64 (N,)``, a numpy array.
            images: These images, ``float32 (N, 3, H, W)`` in ``[0, 1]``, on the device of the network.
            labels: Their classes, ``int64 (N,)``, on the same device.
            score: What a white-box adversary raises, a function from images to a number of at least 0 each ``(N,)``;
                without one the cross-entropy of `labels`.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningTask:
    """What a tuner is given to train with.

    Attributes:
        network: The classifier, already adapted by :meth:`Tuner.adapt`, on its device.
        train: The training images; gradients may come from no others.
        adversary: Makes adversarial versions of training images; ``None`` if the tuner declares no adversary.
        context: The run.
        white_box: Whether the adversary attacks the network itself, not a surrogate.
        validate: ``validate(n)`` scores the network on the first n images of the validation split, or on all if there
            are fewer. It returns ``validation_clean`` and, with an adversary, ``validation_adversarial``, accuracies in
            ``[0, 1]``, and ``validation_loss``, the mean cross-entropy of the adversarial images, or without an
            adversary of the clean ones.
        checkpoint: Saves the state of a training, so that it can go on after an interruption; ``None`` to save none.
    """

    network: nn.Module
    train: ImageSet
    adversary: Adversary | None
    context: RunContext
    white_box: bool = False
    validate: Callable[[int], dict[str, float]] = field(default=lambda n: {})
    checkpoint: Checkpoint | None = None


class Tuner(Told, ABC):
    """Adapts a network: :meth:`adapt` decides what may change, :meth:`fit` trains it.

    Attributes:
        trains: Whether :meth:`fit` is called.
    """

    trains: ClassVar[bool] = True

    @returned.returns(returned.optional(returned.text))
    def adversary(self) -> str | None:
        """Return the attack that makes training images, as users type it, or None.

        ``"pgd-resnet20:eps=8/255"`` attacks a surrogate beforehand, ``"pgd:eps=8/255"`` the network itself, white-box,
        as it is at each call of ``task.adversary``.
        """
        return None

    @abstractmethod
    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze `network`, in place, except for the parameters that this tuner trains or adds.

        Args:
            network: The classifier.
            parts: The parts that :meth:`Model.adaptable` returns.

        Raises:
            PluginError: `network` lacks the part that this tuner adapts.
        """

    @returned.returns(returned.history)
    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train in place and return the history, one row an epoch."""
        return []

    @returned.returns(returned.counts)
    def drawn(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many images of each class an epoch uses, given how many there are."""
        return counts

    @returned.returns(returned.optional(returned.levels_like))
    def augmented(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8] | None:
        """Return `images` ``uint8 (N, 3, H, W)`` as training augments them; None if it does not augment."""
        return None

    def settle(self, network: nn.Module) -> None:
        """Make the tuned network cheaper without changing its logits. It is called after the adapter was saved."""


class Adaptation(Told, ABC):
    """One half of a tuner: what may change in a network. An instance serves one network.

    It may use ``self.setting``: the parts of the network, the class names, prompts and tokenizer, and the run.
    """

    @abstractmethod
    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze `network`, in place, except for the parameters to train, which it may add.

        While it is trained, a batch norm whose weights are frozen keeps its running statistics.

        Args:
            network: The classifier.
            parts: The parts that :meth:`Model.adaptable` returns.

        Raises:
            PluginError: `network` lacks the part that this adaptation changes.
        """

    def begin(self, network: nn.Module, n_steps: int) -> None:
        """Is called before training with the number of optimiser steps."""

    @returned.returns(returned.penalty)
    def penalty(self, network: nn.Module) -> Tensor | float:
        """Return a term that is added to the loss of every batch."""
        return 0.0

    def after_step(self, network: nn.Module, step: int) -> None:
        """Is called after optimiser step `step`, counted from 0, while its gradients are still there."""

    @returned.returns(returned.mapping)
    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides weights: tensors, numbers, texts or dicts of these."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned, before an interrupted training goes on."""

    def merge(self, network: nn.Module) -> None:
        """Fold what was learned into the weights it was added to, if that keeps the logits as they are."""


class Objective(Told, ABC):
    """The other half of a tuner: what is optimised. An instance serves one network.

    It implements :meth:`loss`, or :meth:`terms` if the loss is a sum. It may use ``self.setting``: the parts of the
    network, the class names, prompts and tokenizer, and the run.

    Attributes:
        whole_batch: Whether the loss of a batch is not the mean over its images, for example because they are compared
            with each other. Processes that share a run do not divide such batches.
    """

    whole_batch: ClassVar[bool] = False

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        if type(self).loss is Objective.loss and type(self).terms is Objective.terms:
            raise TypeError(f"{type(self).__name__} has neither loss nor terms; expected one of them")

    @returned.returns(returned.text)
    def white_box(self, eps: Fraction) -> str:
        """Return the attack that ``adversary=white-box`` stands for, as users type it, without its radius.

        Args:
            eps: The radius of the adversary's ball, in ``[0, 1]`` pixel units, for step sizes in proportion to it.
        """
        return "pgd"

    def prepare(self, network: nn.Module) -> None:
        """Is called with the network before it is adapted.

        Raises:
            PluginError: The objective does not fit it; for example it needs text, and the network has none.
        """

    def begin(self, network: nn.Module, n_steps: int) -> None:
        """Is called before training with the number of optimiser steps; the network is adapted."""

    @returned.returns(returned.scalar)
    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; by default the sum of :meth:`terms`.

        Args:
            network: The classifier, in training mode.
            clean: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
            adversarial: The same images, perturbed; the clean images if there is no adversary.
            labels: ``int64 (N,)``.
        """
        first, *rest = self.terms(network, clean, adversarial, labels).values()
        return sum(rest, start=first)

    @returned.returns(returned.terms)
    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the summands of the loss by name, scalars that already have their weights.

        ``robench check`` tries whether each of them depends on what is trained. Arguments are those of :meth:`loss`.
        """
        return {"loss": self.loss(network, clean, adversarial, labels)}

    def after_step(self, network: nn.Module, step: int) -> None:
        """Is called after optimiser step `step`, counted from 0, while its gradients are still there.

        An objective with weights of its own, such as Lagrange multipliers, updates them here.
        """

    @returned.returns(returned.mapping)
    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs of the objective: tensors, numbers, texts or dicts of these."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned, before an interrupted training goes on."""

    @returned.returns(returned.optional(returned.function))
    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Score | None:
        """Return the score that a white-box training adversary raises, or None for the cross-entropy of the labels.

        Returns:
            A function from perturbed versions of `clean`, ``(N, 3, H, W)``, to numbers of at least 0, ``(N,)``.
        """
        return None
