"""How a network is adapted: the interface Tuner, and the two halves of most tuners, Adaptation and Objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from robench.contracts.configured import Configured
from robench.contracts.context import RunContext
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
        """Return adversarial versions ``float32 (N, 3, H, W)`` of the training images at `indices`.

        A white-box adversary raises `score`, from images to one number each ``(N,)``, where it is given, and
        the cross-entropy of `labels` otherwise. One on a surrogate has made its images beforehand.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningTask:
    """What a tuner works on.

    Attributes:
        network: The classifier, already adapted by :meth:`Tuner.adapt`, on its device.
        train: The training images; no others may be used for gradients.
        adversary: Makes adversarial versions of training images; ``None`` if the tuner declares no adversary.
        context: The run.
        white_box: Whether the adversary attacks the network itself, not a surrogate.
        validate: ``validate(n)`` scores the network as it is now on the first n images of the locked validation
            split, or all if there are fewer: accuracies ``validation_clean`` and, with an adversary,
            ``validation_adversarial``, and ``validation_loss``, the mean cross-entropy of the adversarial images or,
            without an adversary, of the clean ones.
        checkpoint: Keeps what a training needs to go on after an interruption; ``None`` if nothing is kept.
    """

    network: nn.Module
    train: ImageSet
    adversary: Adversary | None
    context: RunContext
    white_box: bool = False
    validate: Callable[[int], dict[str, float]] = field(default=lambda n: {})
    checkpoint: Checkpoint | None = None


class Tuner(Configured, ABC):
    """Adapts a network: :meth:`adapt` says what may change, :meth:`fit` changes it."""

    trains: ClassVar[bool] = True

    def adversary(self) -> str | None:
        """Name the attack that makes training examples, such as ``"pgd-resnet20:eps=8/255"``; None for none."""
        return None

    @abstractmethod
    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze `network`, in place, except for the parameters that this tuner trains or adds.

        Raises:
            PluginError: `network` lacks the part this tuner adapts.
        """

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train in place and return the history, one row an epoch. Only tuners with ``trains`` are asked."""
        return []

    def drawn(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many images of each class an epoch draws, given how many there are."""
        return counts

    def augmented(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8] | None:
        """Return `images` ``uint8 (N, 3, H, W)`` as training would see them; None if it sees them as they are."""
        return None

    def settle(self, network: nn.Module) -> None:
        """Make the tuned network cheaper where that changes no logit. What was trained is saved before."""


class Adaptation(Configured, ABC):
    """What may change: one half of a tuner. Instances serve one network."""

    @abstractmethod
    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze `network`, in place, except for the parameters to be trained, which it may add.

        Args:
            network: The classifier.
            parts: What :meth:`Model.adaptable` names.

        Raises:
            PluginError: `network` lacks the part to be adapted.
        """

    def begin(self, network: nn.Module, n_steps: int) -> None:
        """Hear how many optimiser steps there will be."""

    def penalty(self, network: nn.Module) -> Tensor | float:
        """Return what is added to the loss of every step."""
        return 0.0

    def after_step(self, network: nn.Module, step: int) -> None:
        """Act after optimiser step number `step`, from 0, while the gradients of its last batch are still there."""

    def state(self) -> dict[str, Any]:
        """Return what is remembered from step to step besides weights: tensors, numbers, texts, or dicts of them."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` returned, before the first step of a training that was interrupted."""

    def merge(self, network: nn.Module) -> None:
        """Fold what was learned into the weights it was added to, where that leaves the logits as they are."""


class Objective(Configured, ABC):
    """What is optimised: the other half of a tuner. Instances serve one network.

    Attributes:
        whole_batch: Whether the loss of a batch is other than the mean over its images, as where they are compared with
            each other. Several processes that share a run do not share such batches.
    """

    whole_batch: ClassVar[bool] = False

    def prepare(self, network: nn.Module) -> None:
        """Look at the network before it is adapted.

        Raises:
            PluginError: The objective does not fit it, such as one on text and a network without.
        """

    @abstractmethod
    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            network: The classifier, in training mode.
            clean: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
            adversarial: The same images, perturbed; the clean ones if training has no adversary.
            labels: ``int64 (N,)``.
        """

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Score | None:
        """Return what a white-box training adversary raises, or None for the cross-entropy of the labels.

        Returns:
            A function from images ``(N, 3, H, W)``, perturbed versions of `clean`, to non-negative numbers ``(N,)``.
        """
        return None
