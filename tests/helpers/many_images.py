"""A plugin for the tests of several processes: more images than a batch holds, and attacks that try them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from robench import Attacker, Component, ImageSet, Progress, hookimpl
from torch import Tensor, nn

from tests.helpers import toy

ASKED = ["--dataset", "many", "--model", "linear", "--device", "cpu", "--train-size", "101", "--test-size", "253"]
"""A run of these images."""


class Many(toy.Dots):
    """More images than a batch of any kind holds, and no multiple of one."""

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        random, n = np.random.RandomState(len(name)), 253
        labels = np.arange(n) % 2
        images = random.randint(108, 128, (n, 3, 8, 8)) + 20 * labels[:, None, None, None]
        return ImageSet(images=images.astype(np.uint8)[:limit], labels=labels.astype(np.int64)[:limit])


class Jitter(Attacker):
    """A random start and a step, so that seeds and gradients both count."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        images = (images + 0.01 * torch.randn_like(images)).requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(images), labels), images)
        return images.detach() + float(self.params.eps) * gradient.sign()


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Spoilt(Attacker):
    """Fails in the second process alone."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if os.environ.get("RANK") == "1":
            raise OddError("one", "two")
        return images


@hookimpl
def robench_components() -> list[Component]:
    def component(kind: str, name: str, target: str) -> Component:
        return Component(kind=kind, name=name, target=target, summary="for tests")  # type: ignore[arg-type]

    return [
        *(each for each in toy.robench_components() if each.name in ("linear", "shift", "likely")),
        component("dataset", "many", f"{__name__}:Many"),
        component("attacker", "sign", "tests.helpers.toy:Sign"),
        component("attacker", "liar", "tests.helpers.toy:Liar"),
        component("attacker", "random-step", f"{__name__}:Jitter"),
        component("attacker", "spoilt", f"{__name__}:Spoilt"),
    ]


@hookimpl
def robench_run_progress(progress: Progress) -> None:
    with Path(os.environ["HEARD"]).open("a") as file:
        print(os.environ.get("RANK"), file=file)
