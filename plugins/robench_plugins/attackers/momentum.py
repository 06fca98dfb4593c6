"""Attacks for transfer that differ in whose gradients their momentum adds up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.mi_fgsm import MomentumParams
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.targets import Targeted, TargetParams


class TransferParams(MomentumParams, TargetParams):
    """Parameters of attacks with momentum that may be led to a class."""


class MomentumAttack(Targeted):
    """MI-FGSM with a gradient of its own: ``g = decay * g + grad / mean|grad|``, ``x = project(x + alpha * sign(g))``.

    An attack overrides :meth:`gradient`. With a ``target`` the cross-entropy of that class falls instead of that of the
    label rising; robench counts every misclassification as a success.
    """

    Params = TransferParams
    params: TransferParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images of the last step.

        Raises:
            SpecError: The network has a single class, and there is a target.
        """
        params, aims, sign = self.params, labels, 1
        if params.target:
            n = require_classes(2, network, images, "an attack with target=", "noise")
            aims, sign = self.targets(labels, n), -1
        eps, alpha = float(params.eps), float(params.alpha or 0)
        found, momentum = images.clone(), torch.zeros_like(images)
        for _ in range(params.steps):
            gradient = sign * self.gradient(network, found, aims)
            momentum = params.decay * momentum + over_mean(gradient)
            change = (found + alpha * momentum.sign() - images).clamp(-eps, eps)
            found = (images + change).clamp(0, 1)
        if params.target:
            found = torch.where((aims == labels).view(-1, 1, 1, 1), images, found)
        return found

    @abstractmethod
    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the gradient ``(N, 3, H, W)`` at `images`, of any length."""


def loss_gradient(network: nn.Module, seen: Tensor, labels: Tensor, by: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy of `seen`, which follows from `by`, by the latter."""
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(seen), labels, reduction="sum"), by)
    return gradient


def mean_gradient(
    network: nn.Module, images: Tensor, labels: Tensor, changes: Iterable[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Return the mean gradient by `images` of the cross-entropy of what each of `changes` makes of them."""
    total, count = torch.zeros_like(images), 0
    for count, change in enumerate(changes, start=1):  # noqa: B007  # their number
        points = images.clone().requires_grad_()
        total += loss_gradient(network, change(points), labels, points)
    return total / count


def over_mean(gradient: Tensor) -> Tensor:
    """Return each image's gradient over its mean absolute value; zero stays zero."""
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
