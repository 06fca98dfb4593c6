"""torchattacks without its side effects: what every attack that comes from it is run through."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from torch import Tensor, nn


def run(kind: str | type[Any], network: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Tensor:
    """Return the adversarial images of a class of torchattacks, or of its name, silently and with `network` left alone.

    By its name it is imported only here, which spares every command that attacks nothing a quarter of a second.

    ``forward``, unlike a call, does not switch the modes of the network. An image whose gradient is exactly zero gives
    the attack no direction; torchattacks divides by its norm and returns NaN, for which the clean image stands here.
    """
    import torchattacks

    made = getattr(torchattacks, kind) if isinstance(kind, str) else kind
    with contextlib.redirect_stdout(io.StringIO()):
        # Evaluation mode, because attacks that call others put the network back into the mode they found.
        attack = made(_Contiguous(network).eval(), **settings)
        # It guesses the device from the weights of the network, which may have none.
        attack.set_device(images.device)
        adversarial: Tensor = attack.forward(images, labels).detach()
    return finite_or_clean(adversarial, images)


def finite_or_clean(adversarial: Tensor, images: Tensor) -> Tensor:
    """Return `adversarial` with the clean image wherever one has a pixel that is no number."""
    finite = adversarial.isfinite().flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(finite, adversarial, images)


class _Contiguous(nn.Module):
    """A network whose input gradients are laid out as its input; torchattacks fails on those of channels-last ones."""

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
