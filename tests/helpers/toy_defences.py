"""Defences whose effect on the toy network is certain."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Certified, Component, Defence, PluginError, Purifier, RunContext, hookimpl
from torch import Tensor, nn

BOUNDARY = 127.5 / 255


class Mirror(Purifier):
    """Shows light as dark: a network of negative gain is right behind it, and its own gradients lead astray."""

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        return 2 * BOUNDARY - images


class Stairs(Purifier):
    """Rounds to 64 levels, through which autograd finds no gradient."""

    differentiable = False

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        return (images * 63).round() / 63


class Coin(Purifier):
    """Stretches contrast threefold, or mirrors it, by a coin for each call: on the mean nothing changes."""

    stochastic = True

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        stretch = 3.0 if torch.rand(()) < 0.5 else -1.0
        return BOUNDARY + stretch * (images - BOUNDARY)


class Shaky(Purifier):
    """Moves all images a little up or down, at random."""

    stochastic = True

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        return images + (torch.rand(()) - 0.5) * 4 / 255


class Counter(Defence):
    """Goes a step along the gradient of the answer, and proves what is far from the boundary."""

    uses_gradients = True
    norm = "Linf"
    levels = (Fraction(1, 255), Fraction(1, 2))

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        point = images.detach().requires_grad_()
        top = network(point).amax(dim=1).sum()
        (gradient,) = torch.autograd.grad(top, point)
        logits: Tensor = network(images + gradient.sign() / 255)
        return logits

    def certified_images(self) -> int:
        return 6

    def certify(self, network: nn.Module, images: Tensor, n_classes: int) -> Certified:
        brightness = images.mean(dim=(1, 2, 3))
        return Certified(classes=(brightness > BOUNDARY).long(), radii=(brightness - BOUNDARY).abs())


class Choosy(Mirror):
    """Fits no network."""

    def prepare(self, network: nn.Module, context: RunContext) -> None:
        raise PluginError("choosy wants another network")


@hookimpl
def robench_components() -> list[Component]:
    kinds = (Mirror, Stairs, Coin, Shaky, Counter, Choosy)
    return [
        Component(
            kind="defence",
            name=kind.__name__.lower(),
            target=f"tests.helpers.toy_defences:{kind.__name__}",
            summary=f"toy {kind.__name__}",
        )
        for kind in kinds
    ]
