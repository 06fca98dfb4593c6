"""Train a small convolutional network on images in memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

StepCallback = Callable[[float, int, int], None]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Normalise images ``(N, 3, H, W)``, in ``[0, 1]`` or ``uint8``, by ImageNet's mean and standard deviation."""
    if images.dtype == torch.uint8:
        images = images.float() / 255
    mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def augment(images: Tensor, generator: torch.Generator, max_shift: int = 3) -> Tensor:
    """Flip half of the images ``(N, 3, H, W)`` left to right, and shift each by up to `max_shift` pixels.

    Pixels beyond the edge are reflected. Type and shape stay the same.
    """
    n, channels, height, width = images.shape
    draws = torch.randint(-max_shift, max_shift + 1, (2, n, 1), generator=generator)
    flips = torch.randint(0, 2, (n, 1), generator=generator).bool()
    rows = _reflect(torch.arange(height) + draws[0], height)
    columns = _reflect(torch.arange(width) + draws[1], width)
    columns = torch.where(flips, width - 1 - columns, columns)
    at = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1).to(images.device)
    return images.flatten(2).gather(2, at.expand(-1, channels, -1)).view_as(images)


def train(
    network: nn.Module,
    images_uint8: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
    batch_size: int = 128,
    lr: float = 0.2,
    device: torch.device | str = "cpu",
    on_step: StepCallback | None = None,
) -> None:
    """Train `network` in place on images ``uint8 (N, 3, H, W)``, which are normalised first.

    It uses SGD with Nesterov momentum, a one-cycle schedule with maximum `lr`, label smoothing, flips and shifts. The
    mode of every submodule returns afterwards. Convolutions run channels last, a third faster on a CPU.

    Args:
        on_step: Is called after every step with the loss, the steps done and all steps.
    """
    modes = [(module, module.training) for module in network.modules()]
    generator = torch.Generator().manual_seed(seed)
    images, targets = torch.from_numpy(images_uint8), torch.from_numpy(labels)
    total = epochs * math.ceil(len(images) / batch_size)
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=total, pct_start=0.2, cycle_momentum=False
    )
    network.to(device).to(memory_format=torch.channels_last).train()
    done = 0
    try:
        for _ in range(epochs):
            for batch in torch.randperm(len(images), generator=generator).split(batch_size):
                inputs = normalise(augment(images[batch], generator).to(device))
                loss = F.cross_entropy(network(inputs), targets[batch].to(device), label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                done += 1
                if on_step is not None:
                    on_step(loss.item(), done, total)
    finally:
        network.to(memory_format=torch.contiguous_format)
        for module, mode in modes:
            module.training = mode


def _reflect(index: Tensor, size: int) -> Tensor:
    """Reflect indices outside ``[0, size)`` back into it."""
    index = index.abs()
    return torch.where(index >= size, 2 * size - 2 - index, index)
