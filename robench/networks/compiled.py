"""Networks that torch's compiler makes faster, where a run asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Compiled(nn.Module):
    """A network that torch compiles for gradients of images of one shape; all else goes through it as it is.

    The first whose gradient is asked for have that shape: any other would have to be compiled for anew. What comes out
    differs by rounding. Where torch cannot compile, as without a C++ compiler on a CPU, `warn` hears of it, once, and
    of the `stage` at which it was.
    """

    def __init__(self, network: nn.Module, warn: Callable[[str], None], stage: str) -> None:
        super().__init__()
        self.network = network
        self.warn, self.stage = warn, stage
        self.usual: torch.Size | None = None
        # A function, because a compiled module would be a second child with the same weights.
        self.compiled: Callable[[Tensor], Tensor] | None = torch.compile(lambda images: network(images), dynamic=False)
        # Which says on a machine without a GPU that there is none.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images, as `network` does."""
        if self.compiled is not None and images.requires_grad:
            self.usual = self.usual or images.shape
            try:
                if images.shape == self.usual:
                    return self.compiled(images)
            except torch._dynamo.exc.TorchDynamoException as error:
                self.compiled = None
                self.warn(f"{self.stage}: could not compile the network, and went on without: {_first_line(error)}")
        logits: Tensor = self.network(images)
        return logits


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
