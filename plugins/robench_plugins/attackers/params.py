"""Parameters that several attacks share."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import field_serializer, model_validator
from robench import Amount, AttackParams, Field, NormParams, Radius, StepSize


class L2Params(AttackParams):
    """The radius for attacks that look for the shortest L2 perturbation; an image only breaks within it."""

    eps: Radius = Field(default=Fraction(128, 255), description="radius of the L2 ball, in [0, 1] pixel units")


class L0Params(AttackParams):
    """The radius of attacks that change few pixels; the default is what papers use on CIFAR-10."""

    eps: Amount = Field(default=Fraction(20), description="pixels that may change, to any value")


class PatchParams(AttackParams):
    """The side of a patch."""

    eps: Amount = Field(default=Fraction(8), description="side of the square patch, in pixels")


class AnyBallParams(NormParams):
    """A ball of any constraint; only in Linf and L2 its radius has a default."""

    norm: str = Field(  # type: ignore[assignment]
        default="Linf", description="constraint of the ball, one of `robench list constraints`, such as Linf or L2"
    )
    eps: Radius | None = Field(
        default=None,
        description="radius of the ball, as its constraint counts it; 8/255 in Linf, 128/255 in L2 if not given",
    )

    @model_validator(mode="after")
    def _choose_eps(self) -> Self:
        if self.eps is None and self.norm not in ("Linf", "L2"):
            raise ValueError(f"norm={self.norm} needs eps, its radius; write eps=... beside it")
        return super()._choose_eps()  # type: ignore[operator,no-any-return]

    @field_serializer("eps")
    def _written(self, eps: Fraction) -> str:
        """Return the radius as users write it: over 255 in a norm of which that is usual."""
        over_255 = eps * 255
        return f"{over_255}/255" if over_255.denominator == 1 and self.norm in ("Linf", "L2") else str(eps)


class L1Params(AnyBallParams):
    """The parameters of attacks that work in three norms."""

    norm: Literal["Linf", "L2", "L1"] = Field(default="Linf", description="norm of the ball: Linf, L2 or L1")
    eps: Radius | None = Field(
        default=None,
        description="radius of the ball, in [0, 1] pixel units; 8/255 in Linf, 128/255 in L2, 12 in L1 if not given",
    )

    @model_validator(mode="after")
    def _choose_eps(self) -> Self:
        if self.eps is None and self.norm == "L1":
            object.__setattr__(self, "eps", Fraction(12))
            self.model_fields_set.discard("eps")
        return super()._choose_eps()  # type: ignore[operator,no-any-return]


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
