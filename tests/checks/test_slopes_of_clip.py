"""The slopes of a CLIP as it is shipped, and of traps and unusual sound networks around it: docs/checks.md has some."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from robench.attack.perturbation import frozen_for_attack, seeded
from robench.checks.slopes import slopes
from robench.checks.verdict import Subject
from robench.records.record import Check
from robench.registry.registry import discover
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.plugin_fixtures import make_context

pytestmark = pytest.mark.slow
Defence = Callable[[nn.Module, Tensor], Tensor]


@cache
def clip() -> tuple[nn.Module, Any, Any]:
    registry = discover()
    dataset: Any = registry.resolve("dataset", "leaf-synth").build()
    model: Any = registry.resolve("model", "clip-tiny").build()
    context = replace(make_context(Path("unused")), dataset=dataset)
    return model.build(context).eval(), dataset.split("test", 12), context


@cache
def coarse() -> nn.Module:
    return copy.deepcopy(clip()[0]).bfloat16()


@cache
def other() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 10)).eval()


@cache
def shaken() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = copy.deepcopy(clip()[0])
        for weight in network.parameters():
            weight.data = weight.data * (1 + 0.3 * torch.randn_like(weight))
    return network


def with_gradients_of(lying: nn.Module, network: nn.Module, images: Tensor) -> Tensor:
    lied: Tensor = lying(images)
    return lied + (network(images) - lied).detach()


def straight_through(images: Tensor, levels: int) -> Tensor:
    return images + ((images * levels).round() / levels - images).detach()


def rippled(images: Tensor, height: float, speed: float) -> Tensor:
    return images + height / 255 * torch.sin(speed * images)


def resized(images: Tensor) -> Tensor:
    return F.interpolate(images, (64, 64), mode="bilinear")


def standardised(images: Tensor) -> Tensor:
    return (images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True) * 0.2 + 0.45


TRAPS: dict[str, tuple[Defence, str]] = {
    "gradients of another network": (lambda net, x: with_gradients_of(other(), net, x), "fail"),
    "gradients of a neighbour": (lambda net, x: with_gradients_of(shaken(), net, x), "fail"),
    "ripple": (lambda net, x: net(rippled(x, 0.3, 1e5)), "fail"),
    "ripple before a resize": (lambda net, x: net(resized(rippled(x, 0.3, 1e5))), "fail"),
    "slow ripple": (lambda net, x: net(rippled(x, 3, 1e3)), "warn"),
    "straight through, 256 levels": (lambda net, x: net(straight_through(x, 255)), "warn"),
    "straight through, 16 levels": (lambda net, x: net(straight_through(x, 15)), "warn"),
    "straight through, 8 levels": (lambda net, x: net(straight_through(x, 7)), "fail"),
    "half of the input detached": (lambda net, x: net(0.5 * x + 0.5 * F.avg_pool2d(x, 3, 1, 1).detach()), "warn"),
    "half of the logits detached": (lambda net, x: net(x) + net(x.flip(-1)).detach(), "warn"),
}
SOUND: dict[str, Defence] = {
    "as it is": lambda net, x: net(x),
    "temperature 0.01": lambda net, x: 0.01 * net(x),
    "temperature 100": lambda net, x: 100 * net(x),
    "softmax": lambda net, x: net(x).softmax(1),
    "log-softmax": lambda net, x: net(x).log_softmax(1),
    "bfloat16": lambda net, x: coarse()(x.bfloat16()),
    "resized": lambda net, x: net(resized(x)),
    "standardised": lambda net, x: net(standardised(x)),
    "two classes": lambda net, x: net(x)[:, :2],
    "an untrained network": lambda net, x: other()(x),
}


class Around(nn.Module):
    def __init__(self, defend: Defence) -> None:
        super().__init__()
        self.network, self.defend = clip()[0], defend

    def forward(self, images: Tensor) -> Tensor:
        return self.defend(self.network, images)


def found(defend: Defence) -> Check:
    _, data, context = clip()
    network = Around(defend)
    with seeded(0, torch.device("cpu")), frozen_for_attack(network):
        check = slopes(Subject(network=network, data=data, context=context))
    assert check is not None
    return check


@pytest.mark.parametrize("trap", TRAPS)
def test_gradients_that_lie_are_seen(trap: str) -> None:
    defend, verdict = TRAPS[trap]
    assert found(defend).verdict == verdict


@pytest.mark.parametrize("kind", SOUND)
def test_sound_networks_raise_no_alarm(kind: str) -> None:
    check = found(SOUND[kind])
    assert check.verdict == "pass", check.reason
