"""How fast the machine could be: its rate of float32 operations, and how many a gradient needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

SIZES = (1024, 2048, 3072)
TRIES = 3


def peak_flops(device: torch.device, sizes: tuple[int, ...] = SIZES) -> float:
    """Return the floating-point operations per second of the fastest product of two square float32 matrices."""
    best = 0.0
    for size in sizes:
        left, right = (torch.rand(size, size, device=device) for _ in range(2))
        best = max(best, 2 * size**3 / _least_seconds(partial(torch.mm, left, right), device))
    return best


def convolution_flops(device: torch.device, channels: int = 256) -> float:
    """Return the floating-point operations per second of an easy convolution: many channels, 3 x 3, channels-last.

    It is the limit if a library is better at convolutions than at matrix products.
    """
    images = torch.rand(8, channels, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    weights = torch.rand(channels, channels, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    operations = 2 * 8 * 32**2 * 9 * channels**2
    return operations / _least_seconds(partial(F.conv2d, images, weights, padding=1), device)


def _least_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of several tries, after a warm-up."""
    work()
    least = float("inf")
    for _ in range(TRIES):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        least = min(least, time.perf_counter() - start)
    return least


def gradient_flops(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the floating-point operations of one forward pass and of the gradient of the input, for one image."""
    required = [weight.requires_grad for weight in network.parameters()]
    network.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        given = images.clone().requires_grad_()
        # Times 1, because the counter's hooks on the inputs of a network do not work on leaf tensors.
        torch.autograd.grad(F.cross_entropy(network(given * 1), labels), given)
    for weight, flag in zip(network.parameters(), required, strict=True):
        weight.requires_grad_(flag)
    return float(counter.get_total_flops()) / len(images)
