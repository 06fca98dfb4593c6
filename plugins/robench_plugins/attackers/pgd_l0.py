"""Projected gradient descent on a few pixels."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Attacker, Field
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.eight_bit import nearest_in_ball
from robench_plugins.attackers.losses import margins
from robench_plugins.attackers.params import L0Params
from robench_plugins.attackers.starts import Lowest, best_of_starts

STEP = 120_000 / 255 / 3072
"""Mean change of a value in a step of the authors' code, in ``[0, 1]`` pixel units, for images of 3 x 32 x 32."""


class PGDL0Params(L0Params):
    """Parameters of PGD in L0; the step is that of the authors' code, with a single start."""

    steps: int = Field(default=100, ge=1, description="gradient steps of each start")
    step: float = Field(
        default=round(STEP, 3), gt=0, description="mean change of a value in a step, in [0, 1] pixel units"
    )
    restarts: int = Field(default=1, ge=1, description="random starts, of images that still withstand")


class PGDL0(Attacker):
    """PGD whose points are projected on images that differ in a few pixels, within ``[0, 1]``.

    A step is along the gradient, and its changes add up to a fixed sum, so that few values change much. The projection
    keeps the pixels that it brings the point nearest by. An image keeps the point with the smallest margin of its
    logits.

    Source: Croce and Hein, "Sparse and imperceivable adversarial attacks", ICCV 2019 (arXiv:1909.05040), section 3
    (PGD_0), with the authors' code. Deviation: points are 8-bit images, as robench judges them.
    """

    Params = PGDL0Params
    params: PGDL0Params
    norm = "L0"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the points of all starts and steps with the smallest margins."""

        def attempt(some: Tensor, truth: Tensor, start: int) -> tuple[Tensor, Tensor]:
            return self._from_a_start(network, some, truth)

        return best_of_starts(network, images, labels, self.params.restarts, attempt)

    def _from_a_start(self, network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        threat = self.threat(surrogate=False)
        length = self.params.step * images[0].numel()
        points = self._near(images, torch.rand_like(images))
        lowest = Lowest(images)
        for step in range(self.params.steps + 1):
            points = nearest_in_ball(images, points, threat).requires_grad_()
            logits = network(points)
            lowest.keep(points, margins(logits.detach(), labels))
            if step == self.params.steps:
                break
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), points)
            sums = gradient.flatten(1).abs().sum(dim=1).clamp_min(1e-20).view(-1, 1, 1, 1)
            points = self._near(images, points.detach() + length * gradient / sums)
        return lowest.points, lowest.margins

    def _near(self, images: Tensor, points: Tensor) -> Tensor:
        """Return the nearest points to `points`, which may be beyond ``[0, 1]``, that differ in few pixels."""
        change, within = points - images, points.clamp(0, 1)
        gain = (change.square() - (points - within).square()).sum(dim=1).flatten(1)
        many = min(int(Fraction(self.params.eps)), gain.shape[1])
        order = gain.topk(many, dim=1).indices
        kept = torch.zeros_like(gain, dtype=torch.bool).scatter(1, order, True).view(len(images), 1, *images.shape[2:])
        return torch.where(kept, within, images)
