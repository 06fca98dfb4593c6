"""A network that belongs to somebody else: used, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class Borrowed(nn.Module):
    """Calls a network. Hooks and modes that robench sets are set here."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network does."""
        logits: Tensor = self.network(images)
        return logits


@contextmanager
def borrowed(network: nn.Module) -> Iterator[None]:
    """Give `network` back as it was: each module's mode, each weight's ``requires_grad``, and all on their devices."""
    modes = [(module, module.training) for module in network.modules()]
    weights = [(weight, weight.requires_grad, weight.device) for weight in network.parameters()]
    buffers = [(module, name, buffer) for module in network.modules() for name, buffer in module._buffers.items()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, required, device in weights:
            weight.requires_grad_(required)
            if weight.device != device:
                weight.data = weight.data.to(device)
        for module, name, buffer in buffers:
            module._buffers[name] = buffer
