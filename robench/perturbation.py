"""Make adversarial images that can be believed: seeded, projected, rounded to 8 bits, and without a trace.

Whatever an attacker returns, the core re-projects it on the ball and on ``[0, 1]`` and rounds it to ``uint8``;
those bytes are what is cached and evaluated. The network's modes, weights and weight gradients stay as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.data import ImageSet, to_pixels
from robench.errors import BudgetError, PluginError
from robench.evaluate import evaluation_mode
from robench.interfaces import Attacker, Progress, Report, silent
from robench.memory import in_batches
from robench.types import ThreatModel, format_pixels

ATTACK_BATCH = 125
"""Images attacked together. Part of an adversarial set's identity: random starts are drawn a batch at a time."""


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
) -> NDArray[np.uint8]:
    """Attack one batch and return the projected, rounded images ``uint8 (N, 3, H, W)``.

    Raises:
        PluginError: The attacker returned a wrong shape, NaN or infinity.
        BudgetError: epsilon is too small for 8-bit images.
    """
    with frozen_for_attack(network), seeded(seed, device), torch.enable_grad():
        perturbed = attacker.perturb(network, to_pixels(images, device), torch.from_numpy(labels).to(device))
    name = type(attacker).__name__
    if tuple(perturbed.shape) != images.shape:
        raise PluginError(f"{name} returned images of shape {tuple(perturbed.shape)}; expected {images.shape}")
    if not bool(torch.isfinite(perturbed).all()):
        raise PluginError(f"{name} returned NaN or infinite pixels")
    return project(images, perturbed.detach().float().cpu().numpy(), threat)


def project(clean: NDArray[np.uint8], perturbed: NDArray[np.float32], threat: ThreatModel) -> NDArray[np.uint8]:
    """Return the 8-bit images nearest to `perturbed` within the ball around `clean` and within ``[0, 255]``.

    Linf: round, then clip to ``floor(255 eps)`` levels either side. L2: scale down to the ball, then round; where
    rounding would lengthen a perturbation beyond the ball, scale it down a little further before.

    Raises:
        BudgetError: The ball holds no other 8-bit image than the clean one, though epsilon is above zero.
    """
    if 0 < threat.eps < Fraction(1, 255):
        raise BudgetError(f"epsilon {format_pixels(threat.eps)} is below 1/255, the smallest change of an 8-bit image")
    levels = np.clip(perturbed, 0, 1) * 255 - clean
    if threat.norm == "Linf":
        radius = int(threat.eps * 255)
        change = np.clip(np.rint(levels), -radius, radius)
    else:
        change = _round_within(levels, float(threat.eps * 255))
    projected: NDArray[np.uint8] = np.clip(clean + change, 0, 255).astype(np.uint8)
    return projected


def _round_within(levels: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Return whole levels near `levels` of an L2 norm of at most `radius` an image."""
    norms = np.linalg.norm(levels.reshape(len(levels), -1), axis=1).reshape(-1, 1, 1, 1)
    levels = levels * np.minimum(1, radius / np.maximum(norms, 1e-12))
    # Rounding towards zero never lengthens, but loses much of a perturbation whose pixels change by a level or two.
    change = np.trunc(levels)
    for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
        rounded = np.rint(levels * shrink)
        fits = (rounded.reshape(len(rounded), -1).astype(np.float64) ** 2).sum(axis=1) <= radius**2
        change = np.where(fits.reshape(-1, 1, 1, 1), rounded, change)
    return change


def check_ball(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8], threat: ThreatModel) -> float:
    """Return the largest norm of a perturbation, in ``[0, 1]`` pixel units, having checked that it is allowed.

    Raises:
        BudgetError: An image lies outside the ball, or the sets differ in shape.
    """
    if clean.shape != perturbed.shape:
        raise BudgetError(f"adversarial images of shape {perturbed.shape} for clean ones of {clean.shape}")
    change = perturbed.astype(np.int64) - clean
    if threat.norm == "Linf":
        levels = float(np.abs(change).max(initial=0))
        allowed = levels <= threat.eps * 255
    else:
        squared = int((change.reshape(len(change), -1) ** 2).sum(axis=1).max(initial=0))
        levels, allowed = squared**0.5, squared <= (threat.eps * 255) ** 2
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
    report: Report = silent,
    warn: Callable[[str], None] = lambda message: None,
    stage: str = "attack",
) -> tuple[NDArray[np.uint8], int]:
    """Attack all of `data` batch by batch, each batch with its own seed.

    Returns:
        The adversarial images, ``uint8``, and how many were attacked at a time: fewer than usual, with other random
        starts, where memory ran out.
    """
    result = np.empty_like(data.images)
    report(Progress(stage=stage, done=0, total=len(data)))

    def attack(batch: slice) -> None:
        result[batch] = perturb(
            attacker,
            network,
            np.asarray(data.images[batch]),
            data.labels[batch],
            threat=threat,
            device=device,
            seed=seed + batch.start,
        )
        report(Progress(stage=stage, done=batch.stop, total=len(data)))

    size = in_batches(len(data), ATTACK_BATCH, attack, warn, stage)
    return result, size
