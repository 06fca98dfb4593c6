"""The teachers of distillation: ResNets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from robench_plugins.models.resnet import IMAGENET, Normalised
from robench_plugins.models.resnet_network import from_state_dict
from robench_plugins.models.saved_weights import read_state


def load_teacher(path: Path) -> nn.Module:
    """Return a CIFAR-style ResNet, from pixels in ``[0, 1]`` to class logits, with the weights at `path`."""
    return Normalised(from_state_dict(read_state(path)), *IMAGENET).eval().requires_grad_(False)


@torch.inference_mode()
def mean_logits(teachers: Sequence[nn.Module], images: torch.Tensor) -> torch.Tensor:
    """Return the mean logits ``(N, C)`` of `teachers` on uint8 images ``(N, 3, H, W)``."""
    answers = []
    for start in range(0, len(images), 250):
        pixels = images[start : start + 250].float() / 255
        answers.append(torch.stack([teacher(pixels) for teacher in teachers]).mean(dim=0))
    return torch.cat(answers).clone()
