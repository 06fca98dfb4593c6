"""8-bit images within a ball. robench judges attacks by these, so attacks that choose among images use them too."""

from __future__ import annotations

import torch
from robench import Constraint, ThreatModel
from torch import Tensor, nn

from robench_plugins.constraints.colour import Colour
from robench_plugins.constraints.l0 import L0
from robench_plugins.constraints.l1 import L1
from robench_plugins.constraints.l2 import L2
from robench_plugins.constraints.linf import Linf
from robench_plugins.constraints.patch import Patch
from robench_plugins.constraints.spatial import Spatial

N_LENGTHS = 12
"""Lengths to try between that of the perturbation found and the radius."""
_OWN: dict[str, Constraint] = {
    "Linf": Linf(),
    "L2": L2(),
    "L1": L1(),
    "L0": L0(),
    "patch": Patch(),
    "spatial": Spatial(),
    "colour": Colour(),
}
_ORDERS = {"Linf": float("inf"), "L2": 2.0, "L1": 1.0}


def nearest_in_ball(images: Tensor, adversarial: Tensor, threat: ThreatModel) -> Tensor:
    """Return 8-bit images near `adversarial` and within the ball around the 8-bit `images`, all as float in ``[0, 1]``.

    They are those that robench would judge.
    """
    clean = (images * 255).round().to(torch.uint8)
    return constraint_of(threat).project(clean, adversarial, threat.eps).to(images.dtype) / 255


def shortest_fooling(network: nn.Module, images: Tensor, labels: Tensor, found: Tensor, threat: ThreatModel) -> Tensor:
    """Return for each image the shortest 8-bit image that fools `network`, along the perturbation ``found - images``.

    A minimal perturbation is often between two levels of an 8-bit image, and rounding undoes it. The lengths tried rise
    geometrically from its own to the radius; a longer perturbation is cut to the radius. If none fools the network, the
    image at the radius is returned.
    """
    change = found - images
    own = lengths(change, threat.norm).clamp_min(1e-12).view(-1, 1, 1, 1)
    radius = torch.full_like(own, max(float(threat.eps), 1e-12))
    start = torch.minimum(own, radius)
    best = images.clone()
    fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for step in range(N_LENGTHS):
        left = (~fooled).nonzero().flatten()
        if not len(left):
            break
        length = start[left] * (radius[left] / start[left]) ** (step / (N_LENGTHS - 1))
        candidates = nearest_in_ball(images[left], images[left] + change[left] * length / own[left], threat)
        best[left] = candidates
        fooled[left] = predicted(network, candidates) != labels[left]
    return best


def predicted(network: nn.Module, images: Tensor) -> Tensor:
    """Return the predicted classes ``(N,)``."""
    with torch.no_grad():
        classes: Tensor = network(images).argmax(dim=1)
    return classes


def lengths(change: Tensor, norm: str) -> Tensor:
    """Return the length of each change in a norm, ``(N,)``."""
    found: Tensor = torch.linalg.vector_norm(change.flatten(1), ord=_ORDERS[norm], dim=1)
    return found


def constraint_of(threat: ThreatModel) -> Constraint:
    """Return the constraint of a threat model; one of an attack within another attack is found by its name."""
    return threat.constraint or _OWN[threat.norm]
