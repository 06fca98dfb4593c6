"""Traps whose gradients lie, and sound networks of unusual kinds that must raise no alarm."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from robench.checks.slopes import slopes
from robench.checks.verdict import Subject
from robench.images.image_set import to_pixels
from robench.records.record import Check
from torch import Tensor, nn
from torch.nn import functional as F

from tests.checks.test_checks import PGD, Wrapped, attacks_of, checked, trained
from tests.helpers.plugin_fixtures import ToyDataset, make_context

Defence = Callable[[nn.Module, Tensor], Tensor]


@cache
def other() -> nn.Module:
    """A network of other weights, as sound as the first."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = copy.deepcopy(trained())
        for weight in network.parameters():
            weight.data = torch.randn_like(weight) * 0.1
    return network.eval()


def straight_through(images: Tensor, levels: int) -> Tensor:
    return images + ((images * levels).round() / levels - images).detach()


def _elsewhere(network: nn.Module, images: Tensor) -> Tensor:
    lied: Tensor = other()(F.adaptive_avg_pool2d(images, 16))
    return lied + (network(images) - lied).detach()


def resized(defend: Defence) -> Defence:
    """Put a defence behind a resize and a normalisation."""

    def forward(network: nn.Module, images: Tensor) -> Tensor:
        large = F.interpolate(images, (24, 24), mode="bilinear", antialias=True)
        inner = Wrapped(lambda net, pixels: net(F.interpolate(pixels * 0.25 + 0.4, (16, 16), mode="area")))
        return defend(inner, (large - 0.4) / 0.25)

    return forward


class _Replaced(torch.autograd.Function):
    """The identity, whose gradient is replaced by what `change` makes of it."""

    @staticmethod
    def forward(context: Any, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        context.change = change
        return images.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return context.change(gradients[0]), None


def replaced(change: Callable[[Tensor], Tensor]) -> Defence:
    """Return a network as it is with other gradients at the input."""
    return lambda network, images: network(_Replaced.apply(images, change))


def scale(gradient: Tensor) -> Tensor:
    return 2 * torch.rand(gradient.shape[1:], generator=torch.Generator().manual_seed(1))


def median(images: Tensor) -> Tensor:
    windows = F.pad(images, (1, 1, 1, 1), mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(4).median(dim=-1).values


def left_half(images: Tensor) -> Tensor:
    return torch.cat([images[..., : images.shape[-1] // 2], images[..., images.shape[-1] // 2 :].detach()], dim=-1)


def _softened(network: nn.Module, images: Tensor) -> Tensor:
    soft: Tensor = network(F.avg_pool2d(images, 5, 1, 2))
    return soft + (network(images) - soft).detach()


def strongest_removed(gradient: Tensor) -> Tensor:
    return gradient * (gradient.abs() < gradient.abs().flatten(1).median(dim=1).values.view(-1, 1, 1, 1))


TRAPS: dict[str, Defence] = {
    "another network's gradients": _elsewhere,
    "turned round": lambda network, images: 2 * network(images).detach() - network(images),
    "ripple": lambda network, images: network(images + 0.3 / 255 * torch.sin(1e5 * images)),
    "straight through, 8 levels": lambda network, images: network(straight_through(images, 7)),
    "straight through, 64 levels": lambda network, images: network(straight_through(images, 63)),
    "straight through, 8 bits": lambda network, images: network(straight_through(images, 255)),
    "nine tenths detached": lambda network, images: 0.9 * network(images).detach() + 0.1 * network(images),
    "scaled by pixel": replaced(lambda gradient: gradient * scale(gradient)),
    "blurred": replaced(lambda gradient: F.avg_pool2d(gradient, 7, 1, 3)),
    "the strongest half removed": replaced(strongest_removed),
    "two channels detached": lambda network, images: network(torch.cat([images[:, :1], images[:, 1:].detach()], dim=1)),
    "half of the picture detached": lambda network, images: network(left_half(images)),
    "of a softened copy": _softened,
    "median straight through": lambda network, images: network(images + (median(images) - images).detach()),
    "half detached": lambda network, images: 0.5 * network(images.detach()) + 0.5 * network(images),
}
SOUND: dict[str, Defence] = {
    "as it is": lambda network, images: network(images),
    "log-softmax": lambda network, images: network(images).log_softmax(dim=1),
    "softmax": lambda network, images: network(images).softmax(dim=1),
    "times 100": lambda network, images: 100 * network(images),
    "times 0.01": lambda network, images: 0.01 * network(images),
    "shifted logits": lambda network, images: network(images) + 5,
    "standardised by image": lambda network, images: network(
        (images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True) * 0.25 + 0.4
    ),
    "clamped input": lambda network, images: network(images.clamp(0, 1)),
    "resized": lambda network, images: network(F.interpolate(F.interpolate(images, (40, 40)), (16, 16))),
    "two classes": lambda network, images: network(images)[:, :2],
    "1,000 classes": lambda network, images: network(images).repeat(1, 334)[:, :1000] * torch.linspace(1, 2, 1000),
    "bfloat16 logits": lambda network, images: network(images).bfloat16().float(),
    "bfloat16 inside": lambda network, images: network(images.bfloat16().float()),
    "half inside": lambda network, images: network(images.half().float()),
    "double inside": lambda network, images: copy.deepcopy(network).double()(images.double()).float(),
    "smoothed": lambda network, images: network(F.avg_pool2d(images, 3, 1, 1)),
    "max pooled": lambda network, images: network(F.max_pool2d(images, 3, 1, 1)),
    "ReLU": lambda network, images: network(images).relu() + network(images),
    "two in mean": lambda network, images: (network(images) + network(images.flip(3))) / 2,
    "darkened": lambda network, images: network(images**1.1),
    "median": lambda network, images: network(median(images)),
    "dropout off": lambda network, images: network(F.dropout(images, 0.5, training=False)),
    "gelu": lambda network, images: network(F.gelu(4 * images) / 4),
    "offset of 10,000": lambda network, images: network(images) + 1e4,
    "one pixel counts": lambda network, images: network(images) + 30 * images[:, :1, 3, 3],
    "nearly constant": lambda network, images: 1e-3 * network(images),
    "tanh": lambda network, images: 5 * torch.tanh(network(images) / 5),
}


def found(defend: Defence) -> Check | None:
    data = ToyDataset().split("test", 60)
    torch.manual_seed(0)
    return slopes(Subject(network=Wrapped(defend), data=data, context=make_context(Path("unused"))))


@pytest.mark.parametrize("through", [lambda defend: defend, resized], ids=["plain", "resized and normalised"])
@pytest.mark.parametrize("trap", TRAPS)
def test_gradients_that_lie_are_noticed(trap: str, through: Callable[[Defence], Defence]) -> None:
    check = found(through(TRAPS[trap]))
    assert check is not None and check.verdict in ("warn", "fail"), check


@pytest.mark.parametrize("trap", ["another network's gradients", "turned round", "ripple", "nine tenths detached"])
def test_gradients_that_mislead_every_step_fail(trap: str) -> None:
    check = found(TRAPS[trap])
    assert check is not None and check.verdict == "fail", check


def test_gradients_that_lie_away_from_clean_images_alone_are_noticed() -> None:
    clean = to_pixels(ToyDataset().split("test", 60).images, torch.device("cpu"))

    def hidden(network: nn.Module, images: Tensor) -> Tensor:
        logits = network(images)
        far = (images.detach()[:, None] - clean[None]).abs().flatten(2).mean(dim=2).amin(dim=1, keepdim=True) > 4 / 255
        return torch.where(far, 2 * logits.detach() - logits, logits)

    check = found(hidden)
    assert check is not None and check.verdict == "fail" and check.reason.startswith("8/255 from the images"), check


@pytest.mark.parametrize("kind", SOUND)
def test_sound_networks_of_unusual_kinds_pass(kind: str) -> None:
    check = found(SOUND[kind])
    assert check is not None and check.verdict == "pass", check


def test_a_random_search_beats_an_attack_with_the_gradients_of_another_network() -> None:
    checks = checked(Wrapped(_elsewhere), PGD[0])
    assert checks[f"random search {PGD[0].label}"].verdict == "fail"


def test_white_box_images_at_another_radius_do_not_count() -> None:
    checks = checked(trained(), *attacks_of("pgd:eps=16/255", "pgd-resnet20:eps=32/255"))
    assert checks["white-box"].verdict == "warn" and "32/255" in checks["white-box"].reason
