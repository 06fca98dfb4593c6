"""Convolutional teachers for distillation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from robench_plugins.models.resnet_network import from_state_dict
from robench_plugins.pretraining.zero_shot import Normalization

TEACHER_NORMALIZATION = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class PixelTeacher(nn.Module):
    """A network on pixels in ``[0, 1]``, normalised inside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return class logits ``(N, C)`` of float32 ``(N, 3, H, W)``."""
        logits: torch.Tensor = self.network(TEACHER_NORMALIZATION(pixels))
        return logits


def load_teacher(path: Path) -> PixelTeacher:
    """Load published CIFAR-style ResNet weights (a state dict, alone or under the key ``state_dict``)."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return PixelTeacher(from_state_dict(state.get("state_dict", state)))


@torch.inference_mode()
def mean_logits(teachers: Sequence[nn.Module], images: torch.Tensor) -> torch.Tensor:
    """Average the logits of `teachers`, ``(N, C)``, on uint8 images ``(N, 3, H, W)``."""
    answers = []
    for start in range(0, len(images), 250):
        pixels = images[start : start + 250].float() / 255
        answers.append(torch.stack([teacher(pixels) for teacher in teachers]).mean(dim=0))
    return torch.cat(answers).clone()
