"""What the tests of the attacks share: a small trained network, its images, and every attack made quick."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from robench import Attacker, Component, ImageSet
from robench.attack.perturbation import perturb
from robench.contracts.params import is_later
from robench.networks.evaluate import predict
from robench.registry.discovery import load_class
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.components import ATTACKERS

CPU = torch.device("cpu")
BY_NAME = {each.name: each for each in ATTACKERS if each.name != "images"}  # which makes none
BUILT_IN = [name for name in BY_NAME if not name.startswith("torchattacks-")]
UPSTREAM = [name for name in BY_NAME if name.startswith("torchattacks-")]
BOTH_NORMS = ["fgsm", "pgd", "apgd-ce", "apgd-dlr", "apgd-t", "fab", "square", "hopskipjump", "autoattack", "noise"]
N_CLASSES = 5
# Enough to work on images of 8 x 8.
QUICK: dict[str, Any] = {
    "steps": 10,
    "queries": 60,
    "n_queries": 60,
    "search_steps": 4,
    "neighbours": 3,
    "nb_sample": 32,
    "max_iterations": 10,
    "binary_search_steps": 2,
    "restarts": 3,
    "rounds": 20,
    "angles": 5,
    "moves": 3,
}


class ConvNet(nn.Module):
    """Batch norm and dropout, whose mode shows, in the channels-last layout of the built-in ResNets."""

    def __init__(self, n_classes: int = N_CLASSES) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, n_classes),
        ).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images.contiguous(memory_format=torch.channels_last))
        return logits


class Detached(nn.Module):
    """A network that gives logits and no gradients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.network(images)
        return logits


def draw(n: int = 200, n_classes: int = N_CLASSES) -> ImageSet:
    """Return noise in which a channel (classes 0 to 2), the upper (3) or the left half (4) is brighter."""
    random = np.random.default_rng(0)
    images = random.integers(60, 160, (n, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(n) % n_classes
    for label, where in enumerate([np.s_[:, 0], np.s_[:, 1], np.s_[:, 2], np.s_[:, :, :4], np.s_[:, :, :, :4]]):
        images[labels == label] += np.zeros_like(images[labels == label])
        brighter = images[labels == label]
        brighter[where] += 30
        images[labels == label] = brighter
    return ImageSet(images=images, labels=labels.astype(np.int64))


@cache
def trained(n_classes: int = N_CLASSES) -> nn.Module:
    """Return a network that has learned :func:`draw`."""
    data = draw(n_classes=n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvNet(n_classes)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
        images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
        for _ in range(80):
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return network.eval()


def make(name: str, **params: object) -> Attacker:
    """Build an attack with few steps and queries, and with `params`."""
    component: Component = BY_NAME[name]
    kind = load_class(component)
    fields = kind.Params.model_fields
    quick = {key: value for key, value in QUICK.items() if key in fields and not is_later(fields[key])}
    attack: Attacker = kind(kind.Params.read({**quick, **params}, name))  # type: ignore[assignment]
    return attack


def attacked(attack: Attacker, network: nn.Module, data: ImageSet, seed: int = 0) -> np.ndarray:
    """Return the images that the core makes of what the attack returns."""
    threat = attack.threat(surrogate=False)
    return perturb(attack, network, data.images, data.labels, threat=threat, device=CPU, seed=seed)


def success(attack: Attacker, network: nn.Module, data: ImageSet) -> float:
    """Return the share of images that are misclassified after the attack."""
    found = attacked(attack, network, data)
    n_classes = int(network(torch.zeros(1, *data.images.shape[1:])).shape[1])
    return float((predict(network, found, n_classes=n_classes, device=CPU) != data.labels).mean())
