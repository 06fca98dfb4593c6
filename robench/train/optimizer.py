"""The optimiser of a training, and its learning rate at each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from robench.train.params import TrainingParams

FUSED_FROM = 4_000_000
"""Trainable parameters from which Adam's step is fused."""


def make_optimizer(params: TrainingParams, trainable: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that `params` asks for."""
    decay = params.weight_decay if params.weight_decay is not None else 0.01 * (params.optimizer == "adamw")
    if params.optimizer == "sgd":
        return torch.optim.SGD(trainable, lr=params.lr, momentum=params.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if params.optimizer == "adamw" else torch.optim.Adam
    # Fused, a step passes over millions of weights once instead of ten times, in half the time; adapters gain nothing.
    fused = sum(weight.numel() for weight in trainable) >= FUSED_FROM
    optimizer = kind(trainable, lr=params.lr, weight_decay=decay, fused=fused or None)
    if fused:  # its step does not count the versions of weights, by which others see that they have changed
        optimizer.register_step_post_hook(lambda *given: torch.autograd.graph.increment_version(trainable))
    return optimizer


def lr_factor(step: int, n_steps: int, *, warmup: float, schedule: str) -> float:
    """Return the factor on the learning rate in `step`, counted from 0.

    It rises linearly over the first ``warmup * n_steps`` steps. Then it stays at 1, or with ``cosine`` falls to 0 after
    the last step.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    rising = round(warmup * n_steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule != "cosine":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / max(1, n_steps - rising))) / 2
