"""Run an attack on images: seeded, projected on the ball, rounded to 8 bits, and without side effects.

Whatever an attacker returns is projected on the ball and on ``[0, 1]`` and rounded to ``uint8``. These bytes are cached
and evaluated. The network's modes, weights and weight gradients stay as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.projection import outside, project
from robench.compute.precision import Float, computing
from robench.compute.world import ALONE, World
from robench.contracts.attacker import Attacker
from robench.contracts.context import Progress, Report, silent
from robench.contracts.types import ThreatModel
from robench.errors import BudgetError, PluginError
from robench.images.image_set import ImageSet, to_device, to_levels, to_pixels
from robench.images.memory_mapped import empty_images, let_go, parts_of
from robench.networks.compiled import Compiled
from robench.networks.evaluate import evaluation_mode
from robench.networks.folding import folded
from robench.networks.memory import in_batches
from robench.registry.resolved import ResolvedAttack

ATTACK_BATCH = 125
"""Images attacked together. Another number gives other images, because each batch draws its random starts."""
FOLDING_SAMPLE = 8
"""Images on which folded batch norms are compared with the network as it was."""


@contextlib.contextmanager
def frozen_for_attack(network: nn.Module) -> Iterator[None]:
    """Put `network` in evaluation mode and freeze its weights; every mode and ``requires_grad`` returns afterwards.

    Frozen weights also save time: an attack needs no gradients by weights.
    """
    required = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for parameter, _ in required:
            parameter.requires_grad_(False)
        with evaluation_mode(network):
            yield
    finally:
        for parameter, requires_grad in required:
            parameter.requires_grad_(requires_grad)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch within the block; its random state returns afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def perturb(
    attacker: Attacker,
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    threat: ThreatModel,
    device: torch.device,
    seed: int,
    precision: Float = "float32",
) -> NDArray[np.uint8]:
    """Attack one batch and return the projected, rounded images ``uint8 (N, 3, H, W)``.

    Args:
        images: ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``.
        precision: What the network computes in, whatever autocast surrounds the call.

    Raises:
        PluginError: The attacker returned a wrong shape, NaN or infinity.
        BudgetError: Epsilon is above 0 and below 1/255, too small for 8-bit images.
    """
    return _perturb(attacker, network, images, labels, threat=threat, device=device, seed=seed, precision=precision)[0]


def _perturb(
    attacker: Attacker,
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    device: torch.device,
    **more: Any,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return what :func:`perturb` does, and which images were outside, as :func:`perturb_on_device` says."""
    found, finite, outside = perturb_on_device(
        attacker, network, to_device(images, device), to_device(labels, device), **more
    )
    perturbed: NDArray[np.uint8] = found.cpu().numpy()
    if not finite.item():
        raise PluginError(f"{type(attacker).__name__} returned NaN or infinite pixels")
    return perturbed, outside.cpu().numpy()


def perturb_on_device(
    attacker: Attacker,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    threat: ThreatModel,
    seed: int,
    precision: Float,
    positions: NDArray[np.int64] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attack one batch on its device, without waiting for the device.

    Args:
        images: ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``, on the same device.
        positions: The position of each image in its split, ``int64 (N,)``, if they are of one.

    Returns:
        The projected, rounded images ``uint8 (N, 3, H, W)``; a scalar: whether all pixels were finite, otherwise the
        images mean nothing; and which images the attacker returned far outside the ball, ``bool (N,)``. Of an attacker
        whose images are not projected, which are outside at all: these are the clean images again.

    Raises:
        PluginError: The attacker returned a wrong shape.
        BudgetError: Epsilon is above 0 and below 1/255.
    """
    device = images.device
    seen = LogitsOnly(network) if threat.knowledge == "query" else network
    with frozen_for_attack(network), seeded(seed, device), torch.enable_grad(), computing(precision, device):
        pixels = images.float().div_(255)
        if positions is None:
            perturbed = attacker.perturb(seen, pixels, labels).detach()
        else:
            perturbed = attacker.perturb_at(seen, pixels, labels, positions).detach()
    if perturbed.shape != images.shape:
        shapes = f"{tuple(perturbed.shape)}; expected {tuple(images.shape)}"
        raise PluginError(f"{type(attacker).__name__} returned images of shape {shapes}")
    perturbed, finite = perturbed.float(), torch.isfinite(perturbed).all()
    beyond = outside(images, perturbed, threat, far=attacker.projected)
    if attacker.projected:
        return project(images, perturbed, threat), finite, beyond
    return torch.where(beyond.view(-1, 1, 1, 1), images, to_levels(perturbed.clamp(0, 1))), finite, beyond


class LogitsOnly(nn.Module):
    """A network as a query attack sees it: logits, through which no gradient passes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(N, n_classes)`` of images.

        Raises:
            PluginError: The attack records gradients by the images.
        """
        if images.requires_grad:
            raise PluginError(
                "the attack says it sees logits alone (knowledge='query') but asks for gradients; expected "
                "knowledge='white-box'"
            )
        with torch.no_grad():
            logits: Tensor = self.network(images)
        return logits


def check_ball(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8], threat: ThreatModel) -> float:
    """Check that all images are within the ball, and return the largest norm in ``[0, 1]`` pixel units.

    Raises:
        BudgetError: An image lies outside the ball, or the sets differ in shape.
    """
    if clean.shape != perturbed.shape:
        raise BudgetError(f"adversarial images have shape {perturbed.shape}; expected {clean.shape}")
    largest = 0
    for before, after in parts_of(clean, perturbed):
        change = after.astype(np.int64) - before
        if threat.norm == "Linf":
            largest = max(largest, int(np.abs(change).max(initial=0)))
        else:
            largest = max(largest, int((change.reshape(len(change), -1) ** 2).sum(axis=1).max(initial=0)))
    if threat.norm == "Linf":
        levels, allowed = float(largest), largest <= threat.eps * 255
    else:
        levels, allowed = largest**0.5, largest <= (threat.eps * 255) ** 2
    if not allowed:
        raise BudgetError(f"a perturbation of {threat.norm} norm {levels:g}/255 lies outside {threat}")
    return levels / 255


def perturb_set(
    attacker: Attacker,
    network: nn.Module,
    data: ImageSet,
    *,
    threat: ThreatModel,
    device: torch.device,
    seed: int,
    precision: Float = "float32",
    report: Report = silent,
    warn: Callable[[str], None] = lambda message: None,
    stage: str = "attack",
    world: World = ALONE,
    compiled: bool = False,
    found_outside: Callable[[NDArray[np.int64]], None] = lambda positions: None,
) -> tuple[NDArray[np.uint8], int]:
    """Attack all of `data`, batch by batch, each with its own seed. The processes of `world` share the batches.

    Args:
        compiled: Whether torch compiles `network` for the attack.
        found_outside: Is told the positions of the images that were outside, as :func:`perturb_on_device` says.

    Returns:
        The adversarial images ``uint8 (N, 3, H, W)``, and how many were attacked at a time. If memory ran out these are
        fewer than usual, and random starts differ.
    """
    mine = world.share(len(data), ATTACK_BATCH)
    result, beyond = empty_images(data.images[mine].shape), np.zeros(len(data.images[mine]), dtype=bool)
    report(Progress(stage=stage, done=0, total=len(data)))

    def attack(part: slice) -> None:
        batch = slice(mine.start + part.start, mine.start + part.stop)
        result[part], beyond[part] = _perturb(
            attacker,
            attacked,
            np.asarray(data.images[batch]),
            data.labels[batch],
            threat=threat,
            device=device,
            seed=seed + batch.start,
            precision=precision,
            positions=np.arange(batch.start, batch.stop),
        )
        let_go(data.images, result)
        report(Progress(stage=stage, done=len(data) * part.stop // len(result), total=len(data)))

    attacked = Compiled(network, warn, stage) if compiled else network
    with folded(network, to_pixels(data.images[:FOLDING_SAMPLE], device)):
        size = in_batches(len(result), ATTACK_BATCH, attack, warn, stage)
    found_outside(np.concatenate(world.gather(mine.start + np.flatnonzero(beyond))))
    return world.concatenate(result), min(world.gather(size))


def told_outside(attack: ResolvedAttack, count: int, n: int) -> str:
    """Return a sentence on `count` of `n` images that were outside the ball of `attack`, and what became of them."""
    fate = "are outside and count as no attack"
    if attack.implementation.projected:  # type: ignore[attr-defined]
        fate = "came back far outside and were projected on the ball"
    return f"{attack.label}: {count} of {n} images {fate} ({attack.threat()})"
