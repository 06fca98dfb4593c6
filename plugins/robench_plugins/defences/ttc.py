"""Test-time counterattack."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import AttackParams, FeatureNetwork, Field, Pixels, PluginError, Purifier, RunContext
from torch import Tensor, nn


class TTCParams(AttackParams):
    """Parameters of the counterattack; the defaults are those of the authors' code for ViT-B/32."""

    eps: Pixels = Field(default=Fraction(4, 255), description="radius of the counterattack, in [0, 1] pixel units")
    alpha: Pixels = Field(default=Fraction(1, 255), description="step size, in [0, 1] pixel units")
    steps: int = Field(default=2, ge=1, description="gradient steps")
    threshold: float = Field(
        default=0.2,
        ge=0,
        description="an embedding that noise moves by less, relative to its length, counts as attacked",
    )
    beta: float = Field(default=2.0, description="how much later steps weigh, in the exponent")


class TTC(Purifier):
    """Takes steps on each image that move its embedding away, if random noise hardly moves it.

    ``tau = |f(x + u) - f(x)| / |f(x)|`` with u uniform in the ball. Where tau is at least the threshold, u itself is
    added. Elsewhere PGD from u raises ``|f(x + d) - f(x)|^2``, and the mean of its points ``d_0 ... d_N``, with weights
    proportional to ``exp(beta i)``, is added.

    An answer depends on the image through the signs of gradients, which have no gradient themselves. So an adaptive
    attack takes the identity in place of the counterattack (BPDA) and averages answers (EOT).

    Source: Xing, Zhao and Sebe, "CLIP is strong enough to fight back", CVPR 2025 (arXiv:2503.03613), algorithm 1 and
    the authors' code. Deviation: tau is measured on the embedding of the network itself, also if it was tuned; the
    authors' code can take the original CLIP's.
    """

    Params = TTCParams
    params: TTCParams
    stochastic = True
    uses_gradients = True
    differentiable = False

    def prepare(self, network: nn.Module, context: RunContext) -> None:
        """See that the network has embeddings.

        Raises:
            PluginError: It has none.
        """
        if not isinstance(network, FeatureNetwork):
            raise PluginError("ttc moves the embeddings of an image-text model; expected one such as --model clip-tiny")

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return images with the counterattack, within ``[0, 1]``."""
        assert isinstance(network, FeatureNetwork)
        params = self.params
        eps, alpha = float(params.eps), float(params.alpha)
        with torch.no_grad():
            at_rest = network.image_features(images)
        delta = _within(images, torch.empty_like(images).uniform_(-eps, eps))
        points, moved = [delta], torch.zeros(len(images), device=images.device)
        for step in range(params.steps):
            point = delta.clone().requires_grad_()
            away = network.image_features(images + point) - at_rest
            if step == 0:
                moved = away.detach().norm(dim=-1) / at_rest.norm(dim=-1)
            (gradient,) = torch.autograd.grad(away.square().sum(), point)
            delta = _within(images, (delta + alpha * gradient.sign()).clamp(-eps, eps))
            points.append(delta)
        weights = torch.softmax(
            params.beta * torch.arange(len(points), device=images.device, dtype=images.dtype), dim=0
        )
        counter = sum(weight * each for weight, each in zip(weights, points, strict=True))
        steady = (moved < params.threshold).view(-1, 1, 1, 1)
        return (images + torch.where(steady, counter, points[0])).clamp(0, 1)


def _within(images: Tensor, change: Tensor) -> Tensor:
    """Return `change`, cut so that the changed images stay within ``[0, 1]``."""
    return (images + change).clamp(0, 1) - images
