"""Cross-entropy on a mixture of clean and adversarial images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mixed_cross_entropy(
    network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor, *, clean_weight: float
) -> Tensor:
    """Return ``w * CE(clean) + (1 - w) * CE(adversarial)``, a scalar.

    Args:
        network: Maps images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, K)``.
        clean: Clean images.
        adversarial: Their adversarial versions.
        labels: ``int64 (N,)``.
        clean_weight: ``w`` in ``[0, 1]``; at 0 this is the adversarial training of Madry et al. (ICLR 2018), at
            0.5 that of Goodfellow et al. (ICLR 2015, section 6).
    """
    if clean_weight == 0:
        return F.cross_entropy(network(adversarial), labels)
    logits_clean, logits_adversarial = network(torch.cat([clean, adversarial])).chunk(2)
    loss_clean = F.cross_entropy(logits_clean, labels)
    return clean_weight * loss_clean + (1 - clean_weight) * F.cross_entropy(logits_adversarial, labels)
