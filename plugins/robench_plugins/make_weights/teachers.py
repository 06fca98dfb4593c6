"""Convolutional teachers for distillation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from robench_plugins.models.resnet import IMAGENET, Normalised, read_state
from robench_plugins.models.resnet_network import from_state_dict


def load_teacher(path: Path) -> nn.Module:
    """Load CIFAR-style ResNet weights as a network from pixels in ``[0, 1]`` to class logits."""
    return Normalised(from_state_dict(read_state(path)), *IMAGENET).eval().requires_grad_(False)


@torch.inference_mode()
def mean_logits(teachers: Sequence[nn.Module], images: torch.Tensor) -> torch.Tensor:
    """Average the logits of `teachers`, ``(N, C)``, on uint8 images ``(N, 3, H, W)``."""
    answers = []
    for start in range(0, len(images), 250):
        pixels = images[start : start + 250].float() / 255
        answers.append(torch.stack([teacher(pixels) for teacher in teachers]).mean(dim=0))
    return torch.cat(answers).clone()
