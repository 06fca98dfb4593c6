"""Randomised smoothing."""

from __future__ import annotations

from statistics import NormalDist

import torch
from robench import Certified, Defence, Field, Params
from torch import Tensor, nn

AT_A_TIME = 250
"""Noisy versions of images that go through the network together."""


class SmoothingParams(Params):
    """Parameters of smoothing; `sigma` and `alpha` are called so in the paper."""

    sigma: float = Field(default=0.1, gt=0, description="standard deviation of the noise, in [0, 1] pixel units")
    votes: int = Field(default=100, ge=1, description="noisy versions of each image that vote on an answer")
    certify: int = Field(default=0, ge=0, description="images to certify, the first of the split; 0 for none")
    n0: int = Field(default=100, ge=1, description="noisy versions that choose the class to certify")
    n: int = Field(default=1000, ge=1, description="noisy versions that bound its probability; 100,000 in the paper")
    alpha: float = Field(default=0.001, gt=0, lt=1, description="probability that the radius of an image is wrong")


class Smoothing(Defence):
    """The class that most noisy versions of an image are given.

    Votes have no gradient. An adaptive attack follows the logits of single noisy versions and averages them (EOT), as
    the attack on the soft classifier of Salman et al., "Provably robust deep learning via adversarially trained
    smoothed classifiers", NeurIPS 2019 (arXiv:1906.04584), section 2.2, with the mean of logits in place of
    probabilities.

    Certified radius: sigma times the normal quantile of a lower bound, at confidence ``1 - alpha``, of the probability
    of the class (Clopper and Pearson); an image abstains where the bound is at most one half.

    Source: Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML 2019
    (arXiv:1902.02918), theorem 1 and the procedure CERTIFY. Deviation: an answer never abstains, since robench counts a
    class for every image.
    """

    Params = SmoothingParams
    params: SmoothingParams
    stochastic = True
    differentiable = False
    norm = "L2"

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logarithm of the share of votes of each class, with half a vote more for each."""
        n_classes = network(images[:1]).shape[1]
        votes = torch.stack([self._votes(network, image, self.params.votes, n_classes) for image in images])
        return ((votes + 0.5) / (votes + 0.5).sum(dim=1, keepdim=True)).log()

    def approximate(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logits of a noisy version of each image."""
        logits: Tensor = network(images + self.params.sigma * torch.randn_like(images))
        return logits

    def certified_images(self) -> int:
        """Return how many images were asked for."""
        return self.params.certify

    def certify(self, network: nn.Module, images: Tensor, n_classes: int) -> Certified:
        """Return class and L2 radius of each image, by CERTIFY of the paper."""
        params, classes, radii = self.params, [], []
        for image in images:
            best = int(self._votes(network, image, params.n0, n_classes).argmax())
            bound = lower_bound(int(self._votes(network, image, params.n, n_classes)[best]), params.n, params.alpha)
            proved = bound > 0.5
            classes.append(best if proved else -1)
            radii.append(params.sigma * NormalDist().inv_cdf(bound) if proved else 0.0)
        return Certified(classes=torch.tensor(classes), radii=torch.tensor(radii))

    def _votes(self, network: nn.Module, image: Tensor, n: int, n_classes: int) -> Tensor:
        """Return how many of `n` noisy versions of an image each class gets, ``float (n_classes,)``."""
        votes = torch.zeros(n_classes, device=image.device)
        for start in range(0, n, AT_A_TIME):
            copies = image.expand(min(AT_A_TIME, n - start), *image.shape)
            found = network(copies + self.params.sigma * torch.randn_like(copies)).argmax(dim=1)
            votes += torch.bincount(found, minlength=n_classes)
        return votes


def lower_bound(successes: int, n: int, alpha: float) -> float:
    """Return the lower bound of a probability at one-sided confidence ``1 - alpha``, by Clopper and Pearson."""
    from scipy.stats import beta

    return float(beta.ppf(alpha, successes, n - successes + 1)) if successes else 0.0
