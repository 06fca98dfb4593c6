"""FGSM with momentum towards flat maxima: gradients around each point whose norm is penalised."""

from __future__ import annotations

import torch
from robench import Field
from torch import Tensor, nn

from robench_plugins.attackers.momentum import MomentumAttack, TransferParams, loss_gradient, over_mean


class PGNParams(TransferParams):
    """Parameters of PGN; the defaults are the paper's."""

    neighbours: int = Field(default=20, ge=1, description="points sampled around each step, N in the paper")
    radius: float = Field(
        default=3.0, ge=0, description="half the side of their neighbourhood, in units of eps, zeta in the paper"
    )
    balance: float = Field(
        default=0.5, ge=0, le=1, description="weight of the gradient a step back, delta in the paper, gamma in its code"
    )


class PGN(MomentumAttack):
    """As MI-FGSM, with the mean of ``(1 - balance) * grad(x') + balance * grad(x' - alpha * grad(x') / mean|grad|)``.

    The points x' are uniform around x. The second gradient, a step back, approximates a penalty on the gradient's norm.

    Source: Ge et al., "Boosting adversarial transferability by achieving flat local maxima", NeurIPS 2023
    (arXiv:2306.05225), algorithm 1 with the step back as in the code of TransferAttack.
    """

    Params = PGNParams
    params: PGNParams

    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean gradient around the images."""
        params, total = self.params, torch.zeros_like(images)
        reach, alpha = params.radius * float(params.eps), float(params.alpha or 0)
        sign = -1 if params.target else 1  # the loss that rises
        for _ in range(params.neighbours):
            near = (images + torch.empty_like(images).uniform_(-reach, reach)).requires_grad_()
            here = loss_gradient(network, near, labels, near)
            back = (near.detach() - sign * alpha * over_mean(here)).requires_grad_()
            there = loss_gradient(network, back, labels, back)
            total += (1 - params.balance) * here + params.balance * there
        return total / params.neighbours
