"""Make adversarial images that can be believed: seeded, projected, rounded to 8 bits, and without a trace.

Whatever an attacker returns, the core re-projects it on the ball and on ``[0, 1]`` and rounds it to ``uint8``;
those bytes are what is cached and evaluated. The network's modes, weights and weight gradients stay as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.projection import projected
from robench.compute.precision import Float, computing
from robench.compute.world import ALONE, World
from robench.contracts.attacker import Attacker
from robench.contracts.context import Progress, Report, silent
from robench.contracts.types import ThreatModel
from robench.errors import BudgetError, PluginError
from robench.images.image_set import ImageSet, to_device, to_pixels
from robench.images.memory_mapped import empty_images, let_go, parts_of
from robench.networks.compiled import Compiled
from robench.networks.evaluate import evaluation_mode
from robench.networks.folding import folded
from robench.networks.memory import in_batches

ATTACK_BATCH = 125
"""Images attacked together. Part of an adversarial set's identity: random starts are drawn a batch at a time."""
FEW = 8
"""Images on which a network is seen to stay itself when its batch norms are folded."""


@contextlib.contextmanager
def frozen_for_attack(network: nn.Module) -> Iterator[None]:
    """Put `network` in evaluation mode with frozen weights, and restore every module and parameter afterwards.

    Frozen weights also save the backward pass towards them: an attack needs the gradient of the input alone.
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
    """Seed torch within the block and restore its random state afterwards."""
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
        precision: What the network computes in meanwhile, under whatever autocast this is called.

    Raises:
        PluginError: The attacker returned a wrong shape, NaN or infinity.
        BudgetError: epsilon is too small for 8-bit images.
    """
    found, finite = perturb_there(
        attacker,
        network,
        to_device(images, device),
        to_device(labels, device),
        threat=threat,
        seed=seed,
        precision=precision,
    )
    perturbed: NDArray[np.uint8] = found.cpu().numpy()
    if not finite.item():  # the copy has waited for the device already
        raise PluginError(f"{type(attacker).__name__} returned NaN or infinite pixels")
    return perturbed


def perturb_there(
    attacker: Attacker,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    threat: ThreatModel,
    seed: int,
    precision: Float,
) -> tuple[Tensor, Tensor]:
    """Attack one batch on its device, without waiting for it.

    Args:
        images: ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``, on the same device.

    Returns:
        The projected, rounded images ``uint8 (N, 3, H, W)``, and whether the attacker returned finite pixels alone, a
        scalar: if not, the images mean nothing.
    """
    device = images.device
    with frozen_for_attack(network), seeded(seed, device), torch.enable_grad(), computing(precision, device):
        perturbed = attacker.perturb(network, images.float().div_(255), labels).detach()
    if perturbed.shape != images.shape:
        shapes = f"{tuple(perturbed.shape)}; expected {tuple(images.shape)}"
        raise PluginError(f"{type(attacker).__name__} returned images of shape {shapes}")
    return projected(images, perturbed.float(), threat), torch.isfinite(perturbed).all()


def check_ball(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8], threat: ThreatModel) -> float:
    """Return the largest norm of a perturbation, in ``[0, 1]`` pixel units, having checked that it is allowed.

    Raises:
        BudgetError: An image lies outside the ball, or the sets differ in shape.
    """
    if clean.shape != perturbed.shape:
        raise BudgetError(f"adversarial images of shape {perturbed.shape} for clean ones of {clean.shape}")
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
) -> tuple[NDArray[np.uint8], int]:
    """Attack all of `data` batch by batch, each batch with its own seed; the processes of `world` share the batches.

    Args:
        compiled: Whether to have `network` compiled by torch.

    Returns:
        The adversarial images, ``uint8``, and how many were attacked at a time: fewer than usual, with other random
        starts, where memory ran out.
    """
    mine = world.share(len(data), ATTACK_BATCH)
    result = empty_images(data.images[mine].shape)
    report(Progress(stage=stage, done=0, total=len(data)))

    def attack(part: slice) -> None:
        batch = slice(mine.start + part.start, mine.start + part.stop)
        result[part] = perturb(
            attacker,
            attacked,
            np.asarray(data.images[batch]),
            data.labels[batch],
            threat=threat,
            device=device,
            seed=seed + batch.start,
            precision=precision,
        )
        let_go(data.images, result)
        report(Progress(stage=stage, done=len(data) * part.stop // len(result), total=len(data)))

    attacked = Compiled(network, warn, stage) if compiled else network
    with folded(network, to_pixels(data.images[:FEW], device)):
        size = in_batches(len(result), ATTACK_BATCH, attack, warn, stage)
    return world.concatenate(result), min(world.gather(size))
