"""Run attacks of torchattacks without their side effects."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from torch import Tensor, nn


def run(kind: str | type[Any], network: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Tensor:
    """Return the adversarial images of a class of torchattacks, printing nothing and without a change to `network`.

    A name instead of a class is imported only here, which saves commands without an attack a quarter of a second.

    It calls ``forward``, because calling the attack itself switches the modes of the network. If the gradient of an
    image is exactly zero, torchattacks divides by its norm and returns NaN; the clean image replaces it.
    """
    import torchattacks

    made = getattr(torchattacks, kind) if isinstance(kind, str) else kind
    with contextlib.redirect_stdout(io.StringIO()):
        # In evaluation mode, because attacks that call others restore the mode that they found.
        attack = made(_Contiguous(network).eval(), **settings)
        # torchattacks guesses the device from the weights of the network, which may have none.
        attack.set_device(images.device)
        adversarial: Tensor = attack.forward(images, labels).detach()
    return finite_or_clean(adversarial, images)


def finite_or_clean(adversarial: Tensor, images: Tensor) -> Tensor:
    """Return `adversarial`, with the clean image in place of each that has a NaN or infinite pixel."""
    finite = adversarial.isfinite().flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(finite, adversarial, images)


class _Contiguous(nn.Module):
    """A network with contiguous input gradients; torchattacks fails on channels-last ones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(_ContiguousGradient.apply(images))
        return logits


class _ContiguousGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        return images.view_as(images)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].contiguous()
