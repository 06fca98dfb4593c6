"""The attack of Carlini and Wagner."""

from __future__ import annotations

import torch
from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.eight_bit import shortest_fooling
from robench_plugins.attackers.losses import margins as margins_of
from robench_plugins.attackers.params import L2Params


class CWParams(L2Params):
    """Parameters of the attack; the paper takes 20 times 10,000 steps."""

    steps: int = Field(default=100, ge=1, description="steps of Adam for each constant c")
    search_steps: int = Field(default=5, ge=1, description="steps of the search for the constant c")
    c: float = Field(default=0.1, gt=0, description="first value of the constant c, the weight of the margin")
    confidence: float = Field(
        default=0.0, ge=0, description="margin that the wrong class must reach, kappa in the paper"
    )
    lr: float = Field(default=0.01, gt=0, description="learning rate of Adam")


class CW(Attacker):
    """A short L2 perturbation, by Adam on ``||delta||^2 + c * margin`` with a search for c.

    The attack does not know the radius. As in DeepFool, perturbations are lengthened or cut, and an image breaks only
    if an 8-bit image within the radius fools the network.

    Source: Carlini and Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P 2017
    (arXiv:1608.04644), section VI-A, untargeted. torchattacks' version has no search for c, stops the whole batch at
    once, takes the margin from zero instead of negative logits, and cannot change black and white pixels.
    """

    Params = CWParams
    params: CWParams
    norm = "L2"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the shortest 8-bit images found that fool `network`."""
        found = images.clone()
        shortest = torch.full_like(labels, float("inf"), dtype=images.dtype)
        c = torch.full_like(shortest, self.params.c)
        lower, upper = torch.zeros_like(c), torch.full_like(c, float("inf"))
        for _ in range(self.params.search_steps):
            candidates, lengths = self._descend(network, images, labels, c)
            shorter = lengths < shortest
            found[shorter], shortest[shorter] = candidates[shorter], lengths[shorter]
            succeeded = lengths.isfinite()
            upper, lower = torch.where(succeeded, c, upper), torch.where(succeeded, lower, c)
            c = torch.where(upper.isfinite(), (lower + upper) / 2, 10 * c)
        return shortest_fooling(network, images, labels, found, self.threat(surrogate=False))

    def _descend(self, network: nn.Module, images: Tensor, labels: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Minimise for fixed `c`; return the shortest fooling images and their squared lengths, or infinity."""
        found, shortest = images.clone(), torch.full_like(c, float("inf"))
        # tanh reaches black and white only at infinity; the paper's code uses the same factor.
        w = torch.atanh((2 * images - 1) * 0.999999).requires_grad_()
        optimizer = torch.optim.Adam([w], lr=self.params.lr)
        for _ in range(self.params.steps):
            candidates = (torch.tanh(w) + 1) / 2
            lengths = (candidates - images).flatten(1).square().sum(1)
            margins = margins_of(network(candidates), labels)
            with torch.no_grad():
                shorter = (margins < 0) & (margins <= -self.params.confidence) & (lengths < shortest)
                found[shorter], shortest[shorter] = candidates[shorter], lengths[shorter]
            loss = (lengths + c * margins.clamp_min(-self.params.confidence)).sum()
            (w.grad,) = torch.autograd.grad(loss, w)
            optimizer.step()
        return found, shortest
