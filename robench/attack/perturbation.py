"""Run an attack on images: seeded, projected on the ball, rounded to 8 bits, and without side effects.

Whatever an attacker returns is projected on the ball and on ``[0, 1]`` and rounded to ``uint8``. These bytes are cached
and evaluated. The network's modes, weights and weight gradients stay as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.projection import judged
from robench.attack.queries import NEVER, Asked, Queried, Spent
from robench.compute.precision import Float, computing
from robench.compute.world import ALONE, World
from robench.contracts.attacker import Attacker
from robench.contracts.context import Progress, Report, silent
from robench.contracts.types import ASKING, ThreatModel
from robench.errors import BudgetError, PluginError
from robench.images.image_set import ImageSet, to_device, to_pixels
from robench.images.memory_mapped import empty_images, let_go, parts_of
from robench.networks.compiled import Compiled
from robench.networks.evaluate import evaluation_mode
from robench.networks.folding import folded
from robench.networks.memory import in_batches
from robench.registry.constraints import constraint_of
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
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Asked | None]:
    """Return what :func:`perturb` does, which images were outside, as :class:`Perturbed` says, and what was asked."""
    found = perturb_on_device(attacker, network, to_device(images, device), to_device(labels, device), **more)
    perturbed: NDArray[np.uint8] = found.images.cpu().numpy()
    if not found.finite.item():
        raise PluginError(f"{type(attacker).__name__} returned NaN or infinite pixels")
    return perturbed, found.outside.cpu().numpy(), found.queries.counted() if found.queries else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Perturbed:
    """One attacked batch on its device.

    Attributes:
        images: The projected, rounded images ``uint8 (N, 3, H, W)``.
        finite: A scalar: whether all pixels were finite; otherwise the images mean nothing.
        outside: Which images the attacker returned far outside the ball, ``bool (N,)``. Of an attacker whose images are
            not projected, which are outside at all: these are the clean images again.
        queries: What the attack asked, if it may only ask.
    """

    images: Tensor
    finite: Tensor
    outside: Tensor
    queries: Queried | None


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
) -> Perturbed:
    """Attack one batch on its device, without waiting for the device unless the attack asks queries.

    Args:
        images: ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``, on the same device.
        positions: The position of each image in its split, ``int64 (N,)``, if they are of one.

    Raises:
        PluginError: The attacker returned a wrong shape.
        BudgetError: Epsilon is above 0 and below 1/255.
    """
    device = images.device
    with frozen_for_attack(network), seeded(seed, device), torch.enable_grad(), computing(precision, device):
        queries = Queried(network, images, labels, threat) if threat.knowledge in ASKING else None
        pixels, seen = images.float().div_(255), network if queries is None else queries
        try:
            if positions is None:
                perturbed = attacker.perturb(seen, pixels, labels).detach()
            else:
                perturbed = attacker.perturb_at(seen, pixels, labels, positions).detach()
        except Spent:
            assert queries is not None
            perturbed = queries.last
        perturbed, finite = perturbed.float(), torch.isfinite(perturbed).all()
        found, beyond = judged(images, perturbed, threat, projected=attacker.projected)
        if queries is not None and attacker.projected:
            found = queries.chosen(found)
    return Perturbed(images=found, finite=finite, outside=beyond, queries=queries)


def check_ball(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8], threat: ThreatModel) -> float:
    """Check that all images are within the ball, and return the largest size of a change, as the radius counts it.

    Raises:
        BudgetError: An image lies outside the ball, or the sets differ in shape.
    """
    if clean.shape != perturbed.shape:
        raise BudgetError(f"adversarial images have shape {perturbed.shape}; expected {clean.shape}")
    constraint, largest, allowed = constraint_of(threat), 0.0, True
    for before, after in parts_of(clean, perturbed):
        given, changed = (torch.from_numpy(np.array(part)) for part in (before, after))
        largest = max(largest, float(constraint.sizes(given, changed).amax())) if len(given) else largest
        allowed = allowed and bool(constraint.inside(given, changed, threat.eps).all())
    if not allowed:
        raise BudgetError(f"a perturbation of {threat.norm} norm {constraint.told(largest)} lies outside {threat}")
    return largest


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
    counted: Callable[[Asked], None] = lambda asked: None,
) -> tuple[NDArray[np.uint8], int]:
    """Attack all of `data`, batch by batch, each with its own seed. The processes of `world` share the batches.

    Args:
        compiled: Whether torch compiles `network` for the attack.
        found_outside: Is told the positions of the images that were outside, as :class:`Perturbed` says.
        counted: Is told what the attack asked about each image, if it may only ask and did.

    Returns:
        The adversarial images ``uint8 (N, 3, H, W)``, and how many were attacked at a time. If memory ran out these are
        fewer than usual, and random starts differ.
    """
    mine = world.share(len(data), ATTACK_BATCH)
    result, beyond = empty_images(data.images[mine].shape), np.zeros(len(data.images[mine]), dtype=bool)
    asked, fell = (np.full(len(result), nothing, dtype=np.int64) for nothing in (0, NEVER))
    report(Progress(stage=stage, done=0, total=len(data)))

    def attack(part: slice) -> None:
        batch = slice(mine.start + part.start, mine.start + part.stop)
        result[part], beyond[part], queries = _perturb(
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
        if queries is not None:
            asked[part], fell[part] = queries.asked, queries.fell
        let_go(data.images, result)
        report(Progress(stage=stage, done=len(data) * part.stop // len(result), total=len(data)))

    attacked = Compiled(network, warn, stage) if compiled else network
    with folded(network, to_pixels(data.images[:FOLDING_SAMPLE], device)):
        size = in_batches(len(result), ATTACK_BATCH, attack, warn, stage)
    found_outside(np.concatenate(world.gather(mine.start + np.flatnonzero(beyond))))
    if threat.knowledge in ASKING:
        everywhere = Asked(asked=world.concatenate(asked), fell=world.concatenate(fell))
        if everywhere.asked.any():
            counted(everywhere)
    return world.concatenate(result), min(world.gather(size))


def told_outside(attack: ResolvedAttack, count: int, n: int) -> str:
    """Return a sentence on `count` of `n` images that were outside the ball of `attack`, and what became of them."""
    fate = "are outside and count as no attack"
    threat = attack.threat()
    if attack.implementation.projected and constraint_of(threat).projected:  # type: ignore[attr-defined]
        fate = "came back far outside and were projected on the ball"
    return f"{attack.label}: {count} of {n} images {fate} ({threat})"
