"""Batch norms during a training: which are trained, and which keep their statistics."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze_statistics(network: nn.Module) -> None:
    """Put batch norms that nobody trains into evaluation mode, so that a frozen part does not change."""
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not any(weight.requires_grad for weight in module.parameters()):
            module.eval()


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether `network` trains a batch norm, which normalises images by others of the batch."""
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return any(weight.requires_grad for norm in norms for weight in norm.parameters())
