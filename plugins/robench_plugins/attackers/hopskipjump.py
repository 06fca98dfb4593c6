"""HopSkipJump: steps along the boundary, whose direction is estimated from predicted classes alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from robench import DataError, Field, ImageSet, NormParams, RunContext, SpecError, ask, to_pixels
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.eight_bit import nearest_in_ball
from robench_plugins.attackers.n_classes import n_classes
from robench_plugins.attackers.targets import Targeted, TargetParams

TRIES = 100
"""Random images tried as a start."""
SEARCHED, STARTS = (1000, 200, 40, 8), 10
"""Training images to look through for starts of a target class, if there are so many; and most tries of a class."""
HALVINGS = 40
"""Most steps of a binary search."""


class HopSkipJumpParams(NormParams, TargetParams):
    """Parameters of HopSkipJump; the defaults are those of the authors' code."""

    queries: int = Field(default=1000, ge=1, description="most queries for each image, which robench enforces")
    first_directions: int = Field(
        default=100,
        ge=1,
        description="random directions of the first step, B_0 in the paper; step t takes sqrt(t) times",
    )
    most_directions: int = Field(default=10_000, ge=1, description="most random directions of a step")
    gamma: float = Field(default=1.0, gt=0, description="how exact a binary search is, gamma in the authors' code")


class HopSkipJump(Targeted):
    """From a misclassified image it searches back to the boundary, estimates the boundary's direction, and jumps.

    It sees predicted classes, and neither logits nor gradients. An image is done as soon as its nearest boundary lies
    within the radius and the 8-bit image there fools. With a ``target`` the search starts from training images of that
    class; robench counts every misclassification as a success.

    Source: Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", IEEE S&P 2020
    (arXiv:1904.02144), algorithm 2 with steps in geometric progression. Deviations: a clean image that is misclassified
    is left alone; the number of steps follows from the queries; a start is tried at most 100 times, without one the
    image stays clean.
    """

    Params = HopSkipJumpParams
    params: HopSkipJumpParams
    knowledge = "labels"
    _starts: Mapping[int, Tensor] | None = None

    def prepare(self, context: RunContext) -> Mapping[str, Any]:
        """Look up the target, and the training images to start from.

        Raises:
            SpecError: There is no such class, or no training images.
        """
        taken = super().prepare(context)
        if self.params.target:
            train = self._training_images(context)
            self._starts = {
                int(label): to_pixels(train.images[np.flatnonzero(train.labels == label)[:STARTS]], context.device)
                for label in np.unique(train.labels)
            }
        return taken

    def _training_images(self, context: RunContext) -> ImageSet:
        """Return the first training images, fewer if the dataset has fewer."""
        for limit in SEARCHED:
            with contextlib.suppress(DataError):
                return context.dataset.split("train", limit=limit)
        raise SpecError(
            f"target={self.params.target} starts from training images, and {context.dataset_name} has too few"
        )

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the 8-bit images that fool within the ball, or else the nearest found, cut to the ball."""
        targets = self.targets(labels, n_classes(network, images)) if self.params.target else None
        return _Walk(self, network, images, labels, targets).found(self._start(images, targets))

    def _start(self, images: Tensor, targets: Tensor | None) -> Callable[[Tensor, int], Tensor]:
        """Return what gives the image from which each of some images is to start at some try."""

        def start(some: Tensor, number: int) -> Tensor:
            starts = torch.rand_like(images[some])
            for row, each in enumerate(some.tolist() if targets is not None and self._starts else ()):
                known = (self._starts or {}).get(int(targets[each]))  # type: ignore[index]
                if known is not None:
                    starts[row] = known[number % len(known)]
            return starts

        return start


class _Walk:
    """The walk of a batch.

    Attributes:
        near: The nearest point known beyond the boundary, of each image.
        walking: Which images have one, and are not done.
        asked: Queries so far.
    """

    def __init__(
        self, attack: HopSkipJump, network: nn.Module, images: Tensor, labels: Tensor, targets: Tensor | None
    ) -> None:
        self.params, self.threat = attack.params, attack.threat(surrogate=False)
        self.network, self.images, self.labels, self.targets = network, images, labels, targets
        self.near, self.result = images.clone(), images.clone()
        self.asked = torch.zeros_like(labels)
        self.walking = torch.zeros_like(labels, dtype=torch.bool)
        size = images[0].numel()
        self.linf, self.root = self.threat.norm == "Linf", size**0.5
        self.theta = self.params.gamma / (size**2 if self.linf else size**1.5)

    def found(self, start: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Walk until every image is broken or out of queries, and return the images."""
        everyone = torch.arange(len(self.images), device=self.images.device)
        wrong = ask(self.network, self.images, everyone).argmax(dim=1) != self.labels
        self.asked += 1
        aimed = everyone if self.targets is None else everyone[self.targets != self.labels]
        self.begin(aimed[~wrong[aimed]], start)
        before = self.project()
        step = 1
        while self.walking.any():
            self.jump(step, before)
            before = self.project()
            step += 1
        rest = nearest_in_ball(self.images, self.near, self.threat)
        broken = (self.result != self.images).flatten(1).any(dim=1).view(-1, 1, 1, 1)
        return torch.where(broken, self.result, rest)

    def begin(self, some: Tensor, start: Callable[[Tensor, int], Tensor]) -> None:
        """Find a misclassified image for each of `some`, and blend it with the clean image as far as it stays so."""
        for number in range(TRIES):
            some = self.left(some)
            if not len(some):
                break
            points = start(some, number)
            right = self.beyond(points, some)
            self.near[some[right]], self.walking[some[right]] = points[right], True
            some = some[~right]
        some = self.walking.nonzero().flatten()
        self.bisect(some, self.near.clone(), torch.ones(len(self.images)), lambda x, y, a: (1 - a) * x + a * y, 1e-3)

    def project(self) -> Tensor:
        """Bring each point back to the boundary; return how far it was from the image before, ``(N,)``."""
        before = self.distances()
        some = self.walking.nonzero().flatten()
        if self.linf:
            high, exact = before.clone(), self.theta * before.clamp(max=1)
            self.bisect(some, self.near.clone(), high, lambda x, y, a: torch.min(torch.max(y, x - a), x + a), exact)
        else:
            high = torch.ones_like(before)
            self.bisect(some, self.near.clone(), high, lambda x, y, a: (1 - a) * x + a * y, self.theta)
        inside = self.left(some[self.distances()[some] <= float(self.threat.eps)])
        if len(inside):
            change = (self.near - self.images)[inside]
            longer = float(self.threat.eps) / self.distances()[inside].clamp_min(1e-12)
            points = nearest_in_ball(
                self.images[inside], self.images[inside] + change * longer.view(-1, 1, 1, 1), self.threat
            )
            fools = self.beyond(points, inside)
            self.result[inside[fools]], self.walking[inside[fools]] = points[fools], False
        self.walking &= self.asked < self.params.queries
        return before

    def bisect(
        self, some: Tensor, points: Tensor, high: Tensor, blend: Callable[..., Tensor], exact: float | Tensor
    ) -> None:
        """Move each point towards its image as far as it stays beyond the boundary."""
        low, high = torch.zeros(len(points), device=points.device), high.to(points.device)
        low, high = low.double(), high.double()
        limit = torch.as_tensor(exact, dtype=torch.float64, device=points.device).expand_as(high)
        for _ in range(HALVINGS):
            some = self.left(some[(high - low)[some] > limit[some]])
            if not len(some):
                break
            middle = (low[some] + high[some]) / 2
            tried = blend(self.images[some], points[some], middle.float().view(-1, 1, 1, 1)).clamp(0, 1)
            right = self.beyond(tried, some)
            high[some[right]], low[some[~right]] = middle[right], middle[~right]
            self.near[some[right]] = tried[right]

    def jump(self, step: int, before: Tensor) -> None:
        """Estimate the direction of the boundary at each point, and step along it as far as it stays beyond."""
        some = self.left(self.walking.nonzero().flatten())
        n = min(int(self.params.first_directions * step**0.5), self.params.most_directions)
        # From the boundary to where images start to be misclassified: the scale of the random directions.
        scale = (
            torch.full_like(before, 0.1) if step == 1 else (self.root ** (2 if self.linf else 1)) * self.theta * before
        )
        along = torch.zeros_like(self.images)
        for each in some.tolist():
            along[each] = self.direction(each, n, float(scale[each]))
        along = along.sign() if self.linf else along
        size = self.distances() / step**0.5
        some = self.left(some)
        for _ in range(HALVINGS):
            if not len(some):
                break
            tried = (self.near[some] + size[some].view(-1, 1, 1, 1) * along[some]).clamp(0, 1)
            right = self.beyond(tried, some)
            self.near[some[right]] = tried[right]
            some = self.left(some[~right])
            size[some] /= 2

    def direction(self, each: int, n: int, scale: float) -> Tensor:
        """Return the estimated direction of the gradient at the point of one image, of length 1."""
        n = min(n, self.params.queries - int(self.asked[each]))
        noise = self.near.new_empty((n, *self.images.shape[1:]))
        noise = noise.uniform_(-1, 1) if self.linf else noise.normal_()
        noise = F.normalize(noise.flatten(1)).view_as(noise)
        point = self.near[each]
        tried = (point + scale * noise).clamp(0, 1)
        noise = (tried - point) / max(scale, 1e-12)
        answers = 2 * self.beyond(tried, torch.full((n,), each, device=noise.device)).float() - 1
        mean = answers.mean()
        weights = answers if abs(float(mean)) == 1 else answers - mean
        estimate = (weights.view(-1, 1, 1, 1) * noise).mean(dim=0)
        along: Tensor = estimate / estimate.norm().clamp_min(1e-12)
        return along

    def beyond(self, points: Tensor, some: Tensor) -> Tensor:
        """Return which `points` of `some` images the network takes for a wrong class, or for the target."""
        self.asked += torch.bincount(some, minlength=len(self.asked))
        classes = ask(self.network, points, some).argmax(dim=1)
        return classes != self.labels[some] if self.targets is None else classes == self.targets[some]

    def left(self, some: Tensor) -> Tensor:
        """Return those of `some` images that have a query left."""
        return some[self.asked[some] < self.params.queries]

    def distances(self) -> Tensor:
        """Return how far each point is from its image, in the norm of the ball, ``(N,)``."""
        lengths: Tensor = torch.linalg.vector_norm(
            (self.near - self.images).flatten(1), ord=float("inf") if self.linf else 2, dim=1
        )
        return lengths
