"""PGD in steps of our own: with other starts than torchattacks has, and with an early exit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from robench import ThreatModel
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.eight_bit import nearest_in_ball, predicted
from robench_plugins.attackers.torchattacks.call import finite_or_clean

Start = Literal["clean", "uniform", "gaussian"]

GAUSSIAN = 1e-3
"""Standard deviation of a Gaussian start, in ``[0, 1]`` pixel units."""


def pgd(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    threat: ThreatModel,
    alpha: float,
    steps: int,
    start: Start,
    early_exit: bool,
    raised: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the last iterate of each image, or with `early_exit` the first that fools `network`, as an 8-bit image.

    Starts, steps and projections are those of torchattacks' PGD and PGDL2, with the same random numbers: an image that
    never fools the network ends at the same point, up to rounding.

    With `early_exit` the logits that the gradient needs show which images seem to fool the network. These go through it
    again as 8-bit images within the ball, because rounding undoes what is barely beyond the boundary. The device is
    waited for twice a step, to choose these images and those that are left.

    Args:
        images: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
        labels: ``int64 (N,)``.
        threat: The ball.
        alpha: Step size, in ``[0, 1]`` pixel units.
        steps: Gradient steps, unless the image fools the network before.
        start: Where the steps start, as in :func:`started`.
        early_exit: Whether an image takes no more steps once it fools the network.
        raised: The loss, from the logits of some images and their positions among `images` to a number each; None for
            the cross-entropy.

    Source of the early exit: PGD-K-tau with tau = 0 in Zhang et al., "Attacks which do not kill training make
    adversarial learning stronger", ICML 2020 (arXiv:2002.11242), algorithm 1. Deviation: the 8-bit image decides, not
    the iterate itself.
    """
    found = started(images, threat, start)
    left = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        points = found[left].requires_grad_()
        logits = network(points)
        kept = torch.arange(len(left), device=images.device)
        if early_exit and len(seeming := (logits.argmax(dim=1) != labels[left]).nonzero().flatten()):
            some = left[seeming]
            rounded = nearest_in_ball(images[some], found[some], threat)
            fooled = predicted(network, rounded) != labels[some]
            found[some] = torch.where(fooled.view(-1, 1, 1, 1), rounded, found[some])
            going = torch.ones_like(left, dtype=torch.bool)
            going[seeming] = ~fooled
            kept = going.nonzero().flatten()
            if not len(kept):
                break
        # Divided by all images, as in torchattacks, so that gradients have the same last bits.
        loss = raised(logits, left).sum() if raised else F.cross_entropy(logits, labels[left], reduction="sum")
        (gradient,) = torch.autograd.grad(loss / len(images), points)
        left = left[kept]
        found[left] = _step(images[left], found[left], gradient[kept], threat, alpha)
    return finite_or_clean(found, images)


def started(images: Tensor, threat: ThreatModel, start: Start) -> Tensor:
    """Return where the steps start, ``(N, 3, H, W)`` in ``[0, 1]``.

    Args:
        start: ``clean``: at the images; ``uniform``: at a random point of the ball, in L2 of uniform length; or
            ``gaussian``: at the images plus ``GAUSSIAN`` times a standard normal, which the first step's projection
            brings into the ball (Zhang et al., "Theoretically principled trade-off between robustness and accuracy",
            ICML 2019, the authors' code).
    """
    if start == "clean":
        return images.clone()
    if start == "gaussian":
        return (images + GAUSSIAN * torch.randn_like(images)).clamp(0, 1)
    eps = float(threat.eps)
    if threat.norm == "Linf":
        change = torch.empty_like(images).uniform_(-eps, eps)
    else:
        change = torch.empty_like(images).normal_()
        lengths = _lengths(change)
        change *= torch.zeros_like(lengths).uniform_(0, 1) / lengths * eps
    return (images + change).clamp(0, 1)


def _step(images: Tensor, points: Tensor, gradient: Tensor, threat: ThreatModel, alpha: float) -> Tensor:
    """Return `points` a step further along `gradient`, within the ball around `images` and within ``[0, 1]``."""
    eps = float(threat.eps)
    if threat.norm == "Linf":
        change = (points + alpha * gradient.sign() - images).clamp(-eps, eps)
    else:
        change = points + alpha * (gradient / (_lengths(gradient) + 1e-20)) - images
        change = change * (eps / _lengths(change).clamp_min(1e-20)).clamp_max(1)
    return (images + change).clamp(0, 1)


def _lengths(change: Tensor) -> Tensor:
    """Return the L2 norm of each image, ``(N, 1, 1, 1)``."""
    lengths: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1)
    return lengths.view(-1, 1, 1, 1)
