"""Projected gradient descent."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator
from robench import Attacker, Field, Later, NormParams, Radius
from torch import Tensor, nn

from robench_plugins.attackers.iterates import pgd
from robench_plugins.attackers.torchattacks.call import run


class PGDParams(NormParams):
    """Parameters of PGD; the defaults are the study's: 7 steps of 2/255 within Linf 8/255."""

    alpha: Radius | None = Field(
        default=None, description="step size, in [0, 1] pixel units; a quarter of eps if not given"
    )
    steps: int = Field(default=7, ge=1, description="gradient steps")
    random_start: bool = Field(default=True, description="start at a random point of the ball")
    start: Literal["uniform", "gaussian"] = Later(
        "uniform",
        description="how the random start is drawn: uniform in the ball; or gaussian, 0.001 times a standard normal, "
        "as the adversary of TRADES",
    )
    early_exit: bool = Later(
        False,
        description="stop each image once it fools the network it is made on: faster, but not PGD as defined, which "
        "returns the last step, and weaker on other networks",
    )

    @model_validator(mode="after")
    def _fill_alpha(self) -> Self:
        assert self.eps is not None
        if self.start != "uniform" and not self.random_start:
            raise ValueError(f"start={self.start} does nothing with random_start=false; leave one of them out")
        if self.alpha is None:
            object.__setattr__(self, "alpha", self.eps / 4)
            self.model_fields_set.discard("alpha")
        elif self.norm == "Linf" and self.alpha > 1:
            raise ValueError(
                f"alpha={self.alpha} is outside [0, 1]; distances are in [0, 1] pixel units, such as 2/255; "
                f"did you mean {self.alpha}/255?"
            )
        return self


class PGD(Attacker):
    """Iterated steps along the gradient, projected on the epsilon ball after each.

    In Linf the step is along the sign of the gradient, and the start is uniform in the cube. In L2 the step is along
    the gradient at unit length, and the start has a uniform direction and a uniform length up to epsilon.

    With ``early_exit`` an image takes no more steps once its 8-bit version fools the network it is made on. On that
    network the attack is at least as strong as plain PGD, where some images fool on the way and not at the end. On
    other networks it is weaker, because images stop at the boundary of the first.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1,
    which returns the last iterate. Early exit: Zhang et al., "Attacks which do not kill training make adversarial
    learning stronger", ICML 2020 (arXiv:2002.11242), algorithm 1 with tau = 0; it is also ``return_early`` of foolbox
    2, and AutoAttack does the same between its attacks.
    """

    Params = PGDParams
    params: PGDParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of ``x_(t+1) = project(x_t + alpha * direction(grad_x CE))``, or an earlier one that fools."""
        params = self.params
        assert params.eps is not None and params.alpha is not None
        if params.early_exit or params.start == "gaussian":
            return pgd(
                network,
                images,
                labels,
                threat=self.threat(surrogate=False),
                alpha=float(params.alpha),
                steps=params.steps,
                start=params.start if params.random_start else "clean",
                early_exit=params.early_exit,
            )
        settings = {
            "eps": float(params.eps),
            "alpha": float(params.alpha),
            "steps": params.steps,
            "random_start": params.random_start,
        }
        if params.norm == "Linf":
            return run("PGD", network, images, labels, **settings)
        # Its default 1e-10 is larger than the gradient of an image that the network is sure of, and shrinks the step.
        return run("PGDL2", network, images, labels, **settings, eps_for_division=1e-20)
