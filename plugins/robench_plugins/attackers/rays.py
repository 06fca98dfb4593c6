"""RayS: a search for the direction whose boundary is nearest in Linf, from predicted classes alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from robench import Attacker, AttackParams, Field, ask
from torch import Tensor, nn

TOLERANCE = 1e-3
"""Where a binary search ends, as the L2 length between its ends, as in the authors' code."""


class RaySParams(AttackParams):
    """Parameters of RayS."""

    queries: int = Field(default=1000, ge=1, description="most queries for each image, which robench enforces")


class RayS(Attacker):
    """Signs of the perturbation are flipped in blocks, halved again and again; what brings the boundary nearer stays.

    It sees predicted classes, and neither logits nor gradients. It works in Linf alone and leads to no target.

    Source: Chen and Gu, "RayS: a ray searching method for hard-label adversarial attack", KDD 2020 (arXiv:2006.12792),
    algorithms 1 and 3, with the tolerance and the block order of the authors' code. Deviations: a clean image is asked
    about first, and one that is misclassified is left alone. Where a flip helps, the image at the radius is asked about
    before the binary search, as the 8-bit image that robench judges; if it fools, the attack is over, and if not, the
    search goes on between the radius and the last boundary instead of between 0 and it.
    """

    Params = RaySParams
    params: RaySParams
    knowledge = "labels"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images at the radius, in the best direction found."""
        return _Search(network, images, labels, self.params).found()


class _Search:
    """The search for a batch. Radii are per pixel, in ``[0, 1]``.

    Attributes:
        signs: The best direction of each image, ``(N, D)`` of 1 and -1.
        radius: Where the boundary is in that direction, ``(N,)``.
        done: Which images fool the network at the radius, or are misclassified without any attack.
        asked: Queries so far.
    """

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor, params: RaySParams) -> None:
        self.network, self.images, self.labels = network, images, labels
        self.eps, self.queries = int(params.eps * 255) / 255, params.queries
        self.signs = torch.ones_like(images).flatten(1)
        self.radius = images.new_full((len(images),), 1.0)
        self.asked = torch.zeros_like(labels)
        self.done = torch.zeros_like(labels, dtype=torch.bool)

    def found(self) -> Tensor:
        """Search until every image is broken or out of queries, and return the images."""
        clean = torch.arange(len(self.images), device=self.images.device)
        self.done[clean[self.fools(self.images, clean)]] = True
        unbroken = ~self.done
        for start, end in blocks(self.signs.shape[1]):
            left = self.left(clean)
            if not len(left):
                break
            tried = self.signs[left]
            tried[:, start:end] *= -1
            helps = self.fools(self.at(left, tried, self.radius[left]), left)
            self.search(left[helps], tried[helps])
        signs = self.signs.view_as(self.images) * unbroken.view(-1, 1, 1, 1)
        return (self.images + self.eps * signs).clamp(0, 1)

    def search(self, some: Tensor, tried: Tensor) -> None:
        """Take the directions `tried` of images that they break at their radius, and find their boundaries."""
        self.signs[some] = tried
        some = self.left(some)
        broken = self.fools(self.at(some, self.signs[some], self.radius.new_full((len(some),), self.eps)), some)
        self.done[some[broken]] = True
        some = some[~broken]
        low, high = torch.full_like(self.radius, self.eps), self.radius.clone()
        tolerance = TOLERANCE / self.signs.shape[1] ** 0.5
        while len(some := self.left(some[(high - low)[some] > tolerance])):
            middle = (low[some] + high[some]) / 2
            inside = self.fools(self.at(some, self.signs[some], middle), some)
            high[some[inside]], low[some[~inside]] = middle[inside], middle[~inside]
        self.radius = high

    def at(self, some: Tensor, signs: Tensor, radius: Tensor) -> Tensor:
        """Return images moved by `radius` in the direction of `signs`."""
        moved = self.images[some].flatten(1) + radius[:, None] * signs
        return moved.clamp(0, 1).view(-1, *self.images.shape[1:])

    def left(self, some: Tensor) -> Tensor:
        """Return those of `some` images that are not broken and have a query left."""
        return some[~self.done[some] & (self.asked[some] < self.queries)]

    def fools(self, queries: Tensor, some: Tensor) -> Tensor:
        """Return which `queries` about `some` images the network misclassifies."""
        if not len(some):
            return torch.zeros_like(some, dtype=torch.bool)
        self.asked[some] += 1
        fooled: Tensor = ask(self.network, queries, some).argmax(dim=1) != self.labels[some]
        return fooled


def blocks(size: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of the blocks of a vector: the whole, its halves, their halves; in the end single values."""
    level = 0
    while True:
        width = -(-size // 2**level)
        for start in range(0, size, width):
            yield start, min(size, start + width)
        level += width > 1
