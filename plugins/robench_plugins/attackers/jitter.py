"""Jitter: a scaled, noisy target for the softmax."""

from __future__ import annotations

from fractions import Fraction

from robench import Attacker, Field, Pixels
from torch import Tensor, nn

from robench_plugins.attackers.params import IterativeParams
from robench_plugins.attackers.torchattacks.call import run


class JitterParams(IterativeParams):
    """Parameters of Jitter."""

    alpha: Pixels | None = Field(default=Fraction(2, 255), description="step size, in [0, 1] pixel units")
    scale: float = Field(default=10.0, gt=0, description="largest logit after scaling, alpha in the paper")
    noise: float = Field(default=0.1, ge=0, description="standard deviation of the noise on the softmax, sigma")
    random_start: bool = Field(default=True, description="start at a uniform point of the ball")


class Jitter(Attacker):
    """PGD on the squared distance of the scaled and jittered softmax from the label.

    Scaling the logits keeps the gradient alive on networks that are very sure, or hardly sure, of themselves; the noise
    varies the class that is attacked.

    Source: Schwinn et al., "Exploring misclassifications of robust neural networks to enhance adversarial attacks",
    2021 (arXiv:2105.10304).
    """

    Params = JitterParams
    params: JitterParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of PGD's steps on the loss of Jitter."""
        params = self.params
        settings = {
            **params.settings(),
            "scale": params.scale,
            "std": params.noise,
            "random_start": params.random_start,
        }
        return run("Jitter", network, images, labels, **settings)
