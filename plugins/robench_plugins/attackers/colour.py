"""Tone curves that fool a network: along gradients, and by random search."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Attacker, AttackParams, Field, Pixels, ask
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.losses import margins
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.starts import Lowest, best_of_starts
from robench_plugins.constraints.colour import Colour


class ColourParams(AttackParams):
    """How far curves may move a value."""

    eps: Pixels = Field(
        default=Fraction(16, 255), description="largest change of a value by the curves, in [0, 1] pixel units"
    )


class FrankWolfeParams(ColourParams):
    """Parameters of the Frank-Wolfe steps."""

    steps: int = Field(default=20, ge=1, description="gradient steps of each start")
    restarts: int = Field(default=3, ge=1, description="starts: the clean image, then random curves if it withstands")


class SearchParams(ColourParams):
    """Parameters of the random search."""

    queries: int = Field(default=1000, ge=1, description="most queries for each image")
    share: float = Field(default=0.8, gt=0, le=1, description="share of all values that a query moves at first")


class ColourFW(Attacker):
    """Frank-Wolfe steps: each goes part of the way to the curves that are best along the gradient.

    The part is 2 / (k + 2) in step k from 0, so the first step goes all the way. The network sees points rounded to 8
    bits, which are of the ball, too. An image keeps the point with the smallest margin of its logits.

    Source: Chen, Zhou, Yi and Gu, "A Frank-Wolfe framework for efficient and effective adversarial attacks", AAAI 2020
    (arXiv:1811.10828), algorithm 1, with tone curves instead of a norm. Deviations: no momentum, steps of the classic
    schedule (Jaggi, "Revisiting Frank-Wolfe", ICML 2013), and the point that is kept.
    """

    Params = FrankWolfeParams
    params: FrankWolfeParams
    norm = "colour"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the points of all starts and steps with the smallest margins."""

        def attempt(some: Tensor, truth: Tensor, start: int) -> tuple[Tensor, Tensor]:
            return self._from(network, some, truth, Colour().noise(some, self.params.eps) if start else some)

        return best_of_starts(network, images, labels, self.params.restarts, attempt)

    def _from(self, network: nn.Module, images: Tensor, labels: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        lowest = Lowest(images)
        for step in range(self.params.steps + 1):
            seen = ((points * 255).round() / 255).requires_grad_()
            logits = network(seen)
            lowest.keep(seen, margins(logits.detach(), labels))
            if step < self.params.steps:
                (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), seen)
                corner = Colour().furthest(images, gradient, self.params.eps)
                points = points + 2 / (step + 2) * (corner - points)
        return lowest.points, lowest.margins


class ColourSearch(Attacker):
    """Random search over curves, by logits alone: a query moves a range of values up or down in each channel.

    It starts with each channel lighter or darker by the radius. Ranges shrink as the queries go on. An image stops once
    it fools the network; one that withstands is returned where the margin of its logits was smallest.

    Source: Andriushchenko et al., "Square Attack", ECCV 2020 (arXiv:1912.00049), section 3, with ranges of values for
    squares of pixels. Deviation: a range shrinks from `share` towards a 64th of it.
    """

    Params = SearchParams
    params: SearchParams
    norm = "colour"
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins found.

        Raises:
            SpecError: The network has a single class.
        """
        require_classes(2, network, images, "colour-search", "noise")
        eps, queries, found = self.params.eps, self.params.queries, images.clone()
        lowest = margins(network(images), labels)
        sign = torch.randn(*images.shape[:2], 1, 1, device=images.device).sign().expand_as(images)
        for query in range(1, queries):  # the first was about the clean images
            left = (lowest >= 0).nonzero().flatten()
            if not len(left):
                break
            if query == 1:
                tried = Colour().furthest(images[left], sign[left], eps)
            else:
                share = self.params.share * 0.5 ** (6 * query / queries)
                tried = Colour().varied(images[left], found[left], eps, share)
            margin = margins(ask(network, tried, left), labels[left])
            better = margin < lowest[left]
            found[left[better]], lowest[left[better]] = tried[better], margin[better]
        return found
