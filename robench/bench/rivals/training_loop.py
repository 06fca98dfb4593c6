"""The training loop of the rivals: batches, a loss, AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.bench.rivals.clip_logits import logits_of, pixels_of

if TYPE_CHECKING:
    from robench.bench.clips import Clip


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """The training images and settings.

    Attributes:
        clean: ``uint8 (N, 3, H, W)``.
        adversarial: The same images, attacked beforehand.
        labels: ``int64 (N,)``.
        clean_weight: Weight of the cross-entropy of clean images; the rest is that of adversarial images. TeCoA's loss
            on a CLIP, whose logits are scaled cosines, is the cross-entropy of adversarial images (weight 0).
        seed: Seed of the order of the images and of dropout.
    """

    clean: Tensor
    adversarial: Tensor
    labels: Tensor
    clean_weight: float
    lr: float
    epochs: int
    batch: int
    seed: int


def train(model: Any, clip: Clip, weights: Iterable[nn.Parameter], training: Training) -> float:
    """Train `weights` of `model` in place, and return the mean loss of the last epoch."""
    optimizer = torch.optim.AdamW(weights, lr=training.lr)
    device, share = clip.mean.device, training.clean_weight
    model.train()
    torch.manual_seed(training.seed)
    total = torch.zeros((), device=device)
    for _ in range(training.epochs):
        total = torch.zeros((), device=device)
        for part in torch.randperm(len(training.labels)).split(training.batch):
            # Sorted, as in robench, so that dropout falls on the same images.
            part = part.sort().values
            labels = training.labels[part].to(device)
            loss = torch.zeros((), device=device)
            for images, weight in ((training.clean, share), (training.adversarial, 1 - share)):
                if weight:
                    logits = logits_of(model, clip, pixels_of(images[part], clip))
                    loss = loss + weight * F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach() * len(part)
    return float(total) / len(training.labels)
