"""Parameters that several attacks share."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Self

from pydantic import model_validator
from robench import AttackParams, Field, Radius, StepSize


class L2Params(AttackParams):
    """The radius for attacks that look for the shortest L2 perturbation; an image only breaks within it."""

    eps: Radius = Field(default=Fraction(128, 255), description="radius of the L2 ball, in [0, 1] pixel units")


class IterativeParams(AttackParams):
    """A ball and the steps within it. By default 10 steps of a tenth of the radius, as in the papers (16/255 there)."""

    alpha: StepSize | None = Field(
        default=None, description="step size, in [0, 1] pixel units, or a share such as eps/4; eps / steps if not given"
    )
    steps: int = Field(default=10, ge=1, description="gradient steps")

    @model_validator(mode="after")
    def _fill_alpha(self) -> Self:
        self.settle_step(Fraction(1, self.steps), most=Fraction(1))
        return self

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks: the radius, the step size and the number of steps."""
        assert self.alpha is not None
        return {"eps": float(self.eps), "alpha": float(self.alpha), "steps": self.steps}
