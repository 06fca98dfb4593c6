"""Turns and moves of an image: tried one by one, by logits alone, and along gradients."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from robench import Amount, Attacker, AttackParams, Field, ask
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.losses import margins
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.starts import Lowest, best_of_starts
from robench_plugins.constraints.spatial import shifts, transformed

Turn = tuple[Tensor, Tensor, Tensor]
"""Degrees counter-clockwise, and pixels down and to the right, each ``(N,)``."""


class SpatialParams(AttackParams):
    """How far an image may be turned, and with it be moved."""

    eps: Amount = Field(
        default=Fraction(30), description="largest turn, in degrees; moves go up to a 300th of a side each"
    )


class GridParams(SpatialParams):
    """The grid of the paper."""

    angles: int = Field(default=31, ge=1, description="turns tried, evenly from one side to the other")
    moves: int = Field(default=5, ge=1, description="moves tried in each direction, likewise")


class RandomParams(SpatialParams):
    """The random search of the paper."""

    tries: int = Field(default=10, ge=1, description="random turns and moves of each image")


class StepsParams(SpatialParams):
    """Gradient steps over turns and moves."""

    steps: int = Field(default=5, ge=1, description="gradient steps of each start")
    step: float = Field(default=0.2, gt=0, le=1, description="first step, as a share of the largest turn and moves")
    restarts: int = Field(default=10, ge=1, description="starts: the clean image, then random ones while it withstands")


class _Spatial(Attacker):
    norm = "spatial"
    knowledge = "query"

    def turns(self, images: Tensor) -> Iterator[Turn]:
        """Yield what to try."""
        raise NotImplementedError

    @torch.no_grad()
    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins of those tried, and of the clean ones.

        Raises:
            SpecError: The network has a single class.
        """
        require_classes(2, network, images, f"spatial-{type(self).__name__.removeprefix('Spatial').lower()}", "noise")
        best, lowest = images.clone(), margins(network(images), labels)
        for turn in self.turns(images):
            left = (lowest >= 0).nonzero().flatten()
            if not len(left):
                break
            tried = transformed(images[left], *(part[left] for part in turn))
            margin = margins(ask(network, tried, left), labels[left])
            better = margin < lowest[left]
            best[left[better]], lowest[left[better]] = tried[better], margin[better]
        return best


class SpatialGrid(_Spatial):
    """Tries a grid of turns and moves on each image, until one fools the network.

    Source: Engstrom et al., "Exploring the landscape of spatial robustness", ICML 2019 (arXiv:1712.02779), section 3,
    the grid search with 31 turns and 5 moves each way. Deviation: turns and moves are rounded to whole degrees and
    pixels.
    """

    Params = GridParams
    params: GridParams

    def turns(self, images: Tensor) -> Iterator[Turn]:
        """Yield the grid, the same for all images."""
        down, right = shifts(images, self.params.eps)
        for angle in _evenly(int(self.params.eps), self.params.angles):
            for y in _evenly(down, self.params.moves):
                for x in _evenly(right, self.params.moves):
                    yield (
                        torch.full((len(images),), angle, device=images.device),
                        torch.full((len(images),), y, device=images.device),
                        torch.full((len(images),), x, device=images.device),
                    )


class SpatialRandom(_Spatial):
    """Keeps the worst of several random turns and moves of each image.

    Source: Engstrom et al., ICML 2019 (arXiv:1712.02779), section 3, worst of k, with k = 10. Deviation: whole degrees
    and pixels, and an image stops once it fools the network.
    """

    Params = RandomParams
    params: RandomParams

    def turns(self, images: Tensor) -> Iterator[Turn]:
        """Yield random turns and moves, other ones for each image."""
        for _ in range(self.params.tries):
            angles, down, right = (
                torch.randint(-most, most + 1, (len(images),), device=images.device)
                for most in (int(self.params.eps), *shifts(images, self.params.eps))
            )
            yield angles, down, right


class SpatialPGD(Attacker):
    """Steps along the sign of the gradient by the angle and both moves, from the clean image and from random ones.

    The network sees whole degrees and pixels only, and an image keeps the point with the smallest margin of its logits.
    Steps shorten evenly, down to a degree and a pixel.

    Source: Engstrom et al., ICML 2019 (arXiv:1712.02779), section 3, the first-order method. Deviations: whole degrees
    and pixels, larger steps that shorten, and several starts, because the paper finds that gradients lead less far here
    than a grid does.
    """

    Params = StepsParams
    params: StepsParams
    norm = "spatial"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the points of all starts and steps with the smallest margins."""

        def attempt(some: Tensor, truth: Tensor, start: int) -> tuple[Tensor, Tensor]:
            return self._from_a_start(network, some, truth, clean=start == 0)

        return best_of_starts(network, images, labels, self.params.restarts, attempt)

    def _from_a_start(
        self, network: nn.Module, images: Tensor, labels: Tensor, *, clean: bool
    ) -> tuple[Tensor, Tensor]:
        most = torch.tensor([int(self.params.eps), *shifts(images, self.params.eps)], device=images.device)[:, None]
        places = (2 * torch.rand(3, len(images), device=images.device) - 1) * most * (not clean)
        lowest = Lowest(images)
        for step in range(self.params.steps + 1):
            seen = places.round().requires_grad_()
            points = transformed(images, *seen)
            logits = network(points)
            lowest.keep(points, margins(logits.detach(), labels))
            if step < self.params.steps:
                (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), seen)
                length = (self.params.step * most * (1 - step / self.params.steps)).clamp_min(1)
                places = torch.minimum(torch.maximum(seen.detach() + length * gradient.sign(), -most), most)
        return lowest.points, lowest.margins


def _evenly(most: int, count: int) -> list[int]:
    """Return `count` whole numbers from ``-most`` to `most`, each once; 0 if there is one."""
    if count == 1:
        return [0]
    return sorted({round(-most + 2 * most * at / (count - 1)) for at in range(count)})
