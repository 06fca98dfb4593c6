"""Gradient steps on the values of a patch."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Attacker, Field, Pixels
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.losses import margins
from robench_plugins.attackers.params import PatchParams
from robench_plugins.attackers.starts import Lowest, best_of_starts
from robench_plugins.constraints.patch import Patch


class PatchPGDParams(PatchParams):
    """Parameters of the patch: its side, its steps, and how many places are tried."""

    steps: int = Field(default=50, ge=1, description="gradient steps at each place")
    step: Pixels = Field(default=Fraction(16, 255), description="step size, in [0, 1] pixel units")
    restarts: int = Field(default=3, ge=1, description="places: the steepest, then random ones while it withstands")


class PatchPGD(Attacker):
    """Steps along the sign of the gradient within a square, whose values are free.

    The first place is where the gradient of the clean image is steepest. An image keeps the point with the smallest
    margin of its logits.

    Source: Karmon, Zoran and Goldberg, "LaVAN: localized and visible adversarial noise", ICML 2018 (arXiv:1801.02608),
    section 3. Deviations: steps by the sign of the gradient of the cross-entropy, and the choice of the place.
    """

    Params = PatchPGDParams
    params: PatchPGDParams
    norm = "patch"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the points of all places and steps with the smallest margins."""
        if self.params.eps < 1:
            return images.clone()

        def attempt(some: Tensor, truth: Tensor, start: int) -> tuple[Tensor, Tensor]:
            return self._at_a_place(network, some, truth, steepest=start == 0)

        return best_of_starts(network, images, labels, self.params.restarts, attempt)

    def _at_a_place(
        self, network: nn.Module, images: Tensor, labels: Tensor, *, steepest: bool
    ) -> tuple[Tensor, Tensor]:
        if steepest:
            gains = _gradient(network, images, labels)[0].abs().double().sum(dim=1)
        else:
            gains = torch.zeros_like(images[:, 0]).flatten(1)
            gains.scatter_(1, torch.randint(gains.shape[1], (len(gains), 1), device=gains.device), 1)
            gains = gains.view_as(images[:, 0])
        inside = Patch().best(gains, self.params.eps)[:, None]
        points = torch.where(inside, torch.rand_like(images), images)
        lowest = Lowest(images)
        for _ in range(self.params.steps + 1):
            gradient, margin = _gradient(network, points, labels)
            lowest.keep(points, margin)
            moved = (points + float(self.params.step) * gradient.sign()).clamp(0, 1)
            points = torch.where(inside, moved, images)
        return lowest.points, lowest.margins


def _gradient(network: nn.Module, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of the cross-entropy by the pixels, and the margins of the logits, ``(N,)``."""
    points = points.detach().requires_grad_()
    logits = network(points)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), points)
    return gradient, margins(logits.detach(), labels)
