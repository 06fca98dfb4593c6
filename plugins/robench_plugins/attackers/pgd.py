"""Projected gradient descent."""

from __future__ import annotations

from typing import Self

import torchattacks
from pydantic import model_validator
from robench import Attacker, Field, NormParams, Radius
from torch import Tensor, nn

from robench_plugins.attackers.upstream import run


class PGDParams(NormParams):
    """Parameters of PGD; the defaults are the study's: 7 steps of 2/255 within Linf 8/255."""

    alpha: Radius | None = Field(
        default=None, description="step size, in [0, 1] pixel units; a quarter of eps if not given"
    )
    steps: int = Field(default=7, ge=1, description="gradient steps")
    random_start: bool = Field(default=True, description="start at a random point of the ball")

    @model_validator(mode="after")
    def _fill_alpha(self) -> Self:
        assert self.eps is not None
        if self.alpha is None:
            object.__setattr__(self, "alpha", self.eps / 4)
            self.model_fields_set.discard("alpha")
        elif self.norm == "Linf" and self.alpha > 1:
            raise ValueError(
                f"alpha={self.alpha} is outside [0, 1]: distances are in [0, 1] pixel units; "
                f"did you mean {self.alpha}/255?"
            )
        return self


class PGD(Attacker):
    """Iterated steps along the gradient, projected on the epsilon ball after each.

    In Linf the step is along the sign, and the start uniform in the cube. In L2 it is along the gradient of unit norm,
    and the start has a uniform direction and a uniform length up to epsilon.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1.
    """

    Params = PGDParams
    params: PGDParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of ``x_(t+1) = project(x_t + alpha * direction(grad_x CE))``."""
        params = self.params
        assert params.eps is not None and params.alpha is not None
        settings = {
            "eps": float(params.eps),
            "alpha": float(params.alpha),
            "steps": params.steps,
            "random_start": params.random_start,
        }
        if params.norm == "Linf":
            return run(torchattacks.PGD, network, images, labels, **settings)
        # Its own 1e-10 outweighs the gradient of an image that the network is sure of, and shrinks the step to nothing.
        return run(torchattacks.PGDL2, network, images, labels, **settings, eps_for_division=1e-20)
