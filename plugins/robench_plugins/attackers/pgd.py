"""Projected gradient descent."""

from __future__ import annotations

from typing import Self

import torchattacks
from pydantic import model_validator
from robench import Attacker, AttackParams, Field, Pixels
from torch import Tensor, nn


class PGDParams(AttackParams):
    """Parameters of PGD; the defaults are the study's: 7 steps of 2/255 within 8/255."""

    alpha: Pixels | None = Field(
        default=None, description="step size, in [0, 1] pixel units; a quarter of eps if not given"
    )
    steps: int = Field(default=7, ge=1, description="gradient steps")
    random_start: bool = Field(default=True, description="start at a uniform point of the ball")

    @model_validator(mode="after")
    def _fill_alpha(self) -> Self:
        if self.alpha is None:
            object.__setattr__(self, "alpha", self.eps / 4)
            self.model_fields_set.discard("alpha")
        return self


class PGD(Attacker):
    """Iterated steps along the sign of the gradient, projected on the epsilon ball after each.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1.
    """

    Params = PGDParams
    params: PGDParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of ``x_(t+1) = project(x_t + alpha * sign(grad_x CE))``."""
        params = self.params
        assert params.alpha is not None
        attack = torchattacks.PGD(
            network,
            eps=float(params.eps),
            alpha=float(params.alpha),
            steps=params.steps,
            random_start=params.random_start,
        )
        # forward(), unlike a call, leaves the modes of the network alone.
        adversarial: Tensor = attack.forward(images, labels)
        return adversarial
