"""8-bit images within a ball. robench judges attacks by these, so attacks that choose among images use them too."""

from __future__ import annotations

import torch
from robench import ThreatModel
from torch import Tensor, nn

N_LENGTHS = 12
"""Lengths to try between that of the perturbation found and the radius."""


def nearest_in_ball(images: Tensor, adversarial: Tensor, threat: ThreatModel) -> Tensor:
    """Return 8-bit images near `adversarial` and within the ball around the 8-bit `images`, all as float in ``[0, 1]``.

    Linf: rounded and clipped. L2: scaled down to the ball, and a little more if rounding would leave the ball.
    """
    clean = (images * 255).round()
    levels = adversarial.clamp(0, 1) * 255 - clean
    if threat.norm == "Linf":
        radius = int(threat.eps * 255)
        change = levels.round().clamp(-radius, radius)
    else:
        limit = float(threat.eps * 255)
        levels = levels * (limit / _norms(levels, "L2").clamp_min(1e-12)).clamp_max(1)
        change = levels.trunc()
        for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
            rounded = (levels * shrink).round()
            change = torch.where(_norms(rounded, "L2") <= limit, rounded, change)
    return (clean + change) / 255


def shortest_fooling(network: nn.Module, images: Tensor, labels: Tensor, found: Tensor, threat: ThreatModel) -> Tensor:
    """Return for each image the shortest 8-bit image that fools `network`, along the perturbation ``found - images``.

    A minimal perturbation is often between two levels of an 8-bit image, and rounding undoes it. The lengths tried rise
    geometrically from its own to the radius; a longer perturbation is cut to the radius. If none fools the network, the
    image at the radius is returned.
    """
    change = found - images
    own = _norms(change, threat.norm).clamp_min(1e-12)
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


def _norms(change: Tensor, norm: str) -> Tensor:
    order = float("inf") if norm == "Linf" else 2
    lengths: Tensor = torch.linalg.vector_norm(change.flatten(1), ord=order, dim=1)
    return lengths.view(-1, 1, 1, 1)
