"""White-box adversarial training images, made batch by batch while the network changes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.perturbation import perturb_on_device
from robench.attack.seen import prepared, seen_by
from robench.contracts.context import RunContext
from robench.contracts.returned import told
from robench.errors import PluginError, SpecError
from robench.images.image_set import ImageSet, to_device, to_levels
from robench.networks.compiled import Compiled
from robench.registry.resolved import ResolvedAttack

if TYPE_CHECKING:
    from robench.contracts.tuning import Score


class ScoreAsLogits(nn.Module):
    """Lets attacks, which raise a cross-entropy, raise any score ``s >= 0``: two logits whose loss grows with it.

    The cross-entropy of class 0 grows with s, so steps along the gradient's direction, such as PGD's, are the same as
    on s itself. Class 0 always wins, because many attacks stop at a misclassification.
    """

    def __init__(self, network: nn.Module, score: Score) -> None:
        super().__init__()
        self.network = network  # a child, so that an attack freezes its modes and weights
        self.score = score

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[0, -1 / (1 + s)]`` of each image, ``(N, 2)``.

        Raises:
            PluginError: The score is no number for each image.
        """
        score = self.score(images)
        if not isinstance(score, Tensor) or score.dim() != 1:
            raise PluginError(f"the score of the objective returned {told(score)}; expected a tensor of shape (N,)")
        return torch.stack([torch.zeros_like(score), -1 / (1 + score)], dim=1)


class LiveAdversary:
    """Attacks batches of training images; a tuner calls it.

    It never waits for the device, except for the first batch with a score. If the attacker returns NaN or infinity,
    the whole batch becomes NaN, and with it the loss, which training checks at the end of an epoch.

    Attributes:
        calls: The number of calls; each has its own random stream.
        finite: Whether the attacker has only returned finite pixels, a scalar on the device.
    """

    def __init__(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet, context: RunContext) -> None:
        self.attacker, self.threat, self.data = prepared(attack, context)[0], attack.threat(), data
        self.target = target = seen_by(attack, target)
        self.label = attack.label
        self.device, self.seed = context.device, context.stream("attack/train")
        self.precision = context.precision.attacks
        self.attacked = Compiled(target, context.warn, "training adversary") if context.compiled else target
        self.calls, self._attack, self._share = 0, attack, Fraction(1)
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)

    def at(self, share: Fraction) -> None:
        """Attack with `share` of the radius, and of a step size that is a parameter, from now on."""
        params = self._attack.params
        lengths = {name: getattr(params, name, None) for name in ("eps", "alpha")}
        scaled = {name: length * share for name, length in lengths.items() if length is not None}
        self.attacker = replace(self._attack, params=params.model_copy(update=scaled)).build()
        self.threat, self._share = self.attacker.threat(surrogate=False), share

    def __call__(
        self, indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None
    ) -> Tensor:
        """Return adversarial versions ``float32 (N, 3, H, W)`` in ``[0, 1]`` of the training images at `indices`.

        Raises:
            SpecError: There is a score, and the attack changes no image, because it looks for misclassifications.
        """
        self.calls += 1
        levels = to_levels(images).to(self.device, non_blocking=True)
        classes = self.data.labels[indices] if score is None else np.zeros(len(indices), dtype=np.int64)
        made = perturb_on_device(
            self.attacker,
            self.attacked if score is None else ScoreAsLogits(self.target, score),
            levels,
            to_device(classes, self.device),
            threat=self.threat,
            seed=self.seed + self.calls,
            precision=self.precision,
        )
        if score is not None and self.calls == 1 and self._share == 1 and torch.equal(made.images, levels):
            raise SpecError(
                f"adversary {self.label!r} changed no image of a batch: it looks for misclassifications, and this "
                "objective raises a loss of its own; expected a gradient attack such as 'pgd' or 'apgd-ce'"
            )
        self.finite = self.finite & made.finite
        return made.images.float().div_(255).masked_fill_(~made.finite, torch.nan)
