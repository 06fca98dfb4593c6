"""Several networks as one classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MeanLogits(nn.Module):
    """A classifier whose logits are the mean of several networks' logits."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to mean logits ``(N, n_classes)``."""
        return torch.stack([network(images) for network in self.networks]).mean(dim=0)
