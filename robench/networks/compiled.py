"""Networks compiled by torch for the gradients of attacks, if a run asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor, nn


class Compiled(nn.Module):
    """A network compiled by torch for images of one shape that need a gradient. Others go through it uncompiled.

    The shape is that of the first such images; every other would take another compilation. Logits differ by rounding.
    If torch cannot compile, for example without a C++ compiler on a CPU, the network is used uncompiled.

    Args:
        network: The network.
        warn: Is told once if torch cannot compile.
        stage: What the network is used for, for the warning.
    """

    def __init__(self, network: nn.Module, warn: Callable[[str], None], stage: str) -> None:
        super().__init__()
        self.network = network
        self.warn, self.stage = warn, stage
        self.shape: torch.Size | None = None
        # A compiled function, because a compiled module would be a second child with the same weights.
        self.compiled: Callable[[Tensor], Tensor] | None = torch.compile(_function(network), dynamic=False)
        # This logger complains on a machine without a GPU that there is none.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images, as `network` does."""
        if self.compiled is not None and images.requires_grad:
            self.shape = self.shape or images.shape
            try:
                if images.shape == self.shape:
                    return self.compiled(images)
            except torch._dynamo.exc.TorchDynamoException as error:
                self.compiled = None
                self.warn(f"{self.stage}: could not compile the network, so it runs uncompiled: {_first_line(error)}")
        logits: Tensor = self.network(images)
        return logits


def _function(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a function with code of its own, because torch stops compiling the same code after eight times."""

    def logits(images: Tensor) -> Tensor:
        found: Tensor = network(images)
        return found

    return FunctionType(logits.__code__.replace(), logits.__globals__, closure=logits.__closure__)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
