"""Jitter: PGD on a scaled, noisy softmax."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from robench import Field, StepSize

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.params import IterativeParams


class JitterParams(IterativeParams):
    """Parameters of Jitter."""

    alpha: StepSize | None = Field(
        default=Fraction(2, 255), description="step size, in [0, 1] pixel units, or a share such as eps/4"
    )
    scale: float = Field(default=10.0, gt=0, description="largest logit after scaling, alpha in the paper")
    noise: float = Field(default=0.1, ge=0, description="standard deviation of the noise on the softmax, sigma")
    random_start: bool = Field(default=True, description="start at a uniform point of the ball")

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks."""
        return {**super().settings(), "scale": self.scale, "std": self.noise, "random_start": self.random_start}


class Jitter(IteratedAttack):
    """PGD on the squared distance between the label and a scaled, noisy softmax.

    The scaling keeps gradients alive on networks that are very sure, or hardly sure, of their answers. The noise varies
    the class that is attacked.

    Source: Schwinn et al., "Exploring misclassifications of robust neural networks to enhance adversarial attacks",
    2021 (arXiv:2105.10304).
    """

    Params = JitterParams
    upstream = "Jitter"
