"""Muon in float32; that of ``torch.optim`` computes in bfloat16, which is slow on CPUs without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch


class Muon(torch.optim.Optimizer):
    """Momentum for hidden weight matrices, with each update replaced by the nearest semi-orthogonal matrix.

    Matrices of one shape are computed in one batch. The update is scaled by ``0.2 sqrt(max(rows, columns))``, so that
    learning rates and weight decays of AdamW apply.

    Source: Jordan et al. 2024, "Muon"; scale of Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(
        self, params: Iterable[torch.nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                directions = []
                for parameter in parameters:
                    buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    assert parameter.grad is not None
                    buffer.lerp_(parameter.grad, 1 - group["momentum"])
                    directions.append(torch.lerp(parameter.grad, buffer, group["momentum"]))
                updates = orthogonalise(torch.stack(directions)) * (0.2 * max(shape) ** 0.5)
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Return about the nearest semi-orthogonal matrices ``(N, R, C)``, by five Newton-Schulz steps."""
    transposed = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = matrices.mT if transposed else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if transposed else x
