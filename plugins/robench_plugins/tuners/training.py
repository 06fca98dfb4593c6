"""The one training loop of the built-in tuners, and the parameters it brings."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from robench import Field, Params, Pixels, PluginError, Progress, TuningTask, to_pixels
from torch import Tensor

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``objective(clean, adversarial, labels)`` returns the loss, a scalar."""


class AdversarialTrainingParams(Params):
    """What every tuner that trains on adversarial images has; the defaults are the study's."""

    lr: float = Field(default=1e-4, gt=0, description="learning rate of AdamW")
    epochs: int = Field(default=1, ge=1, description="passes over the training images")
    batch_size: int = Field(default=64, ge=1, description="images a step")
    adversary: str = Field(
        default="pgd-resnet20",
        description="attack that makes the training images: on a surrogate, or white-box for PGD on the fly",
    )
    eps: Pixels = Field(default=Fraction(8, 255), description="the adversary's radius, in [0, 1] pixel units")
    steps: int | None = Field(
        default=None,
        ge=1,
        description="the adversary's gradient steps; the attack's own default if not given",
    )

    def attack(self) -> str:
        """Return the adversary as an attack name with its parameters."""
        name = "pgd" if self.adversary == "white-box" else self.adversary
        steps = "" if self.steps is None else f",steps={self.steps}"
        return f"{name}{',' if ':' in name else ':'}eps={self.eps}{steps}"


def train(task: TuningTask, params: AdversarialTrainingParams, objective: Objective) -> list[dict[str, float]]:
    """Minimise `objective` over the trainable parameters with AdamW and return the mean loss of each epoch.

    On CUDA the forward pass runs under bfloat16 autocast; attacks never do.

    Raises:
        PluginError: The loss is NaN or infinite.
    """
    assert task.adversary is not None
    network, device = task.network, task.context.device
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=params.lr)
    labels_all = torch.from_numpy(task.train.labels)
    total = params.epochs * len(task.train)
    history: list[dict[str, float]] = []
    done = 0
    task.context.report(Progress(stage="tuning", done=0, total=total))
    network.train()
    for epoch in range(params.epochs):
        losses: list[Tensor] = []
        order = torch.randperm(len(task.train)).numpy()
        for start in range(0, len(order), params.batch_size):
            indices: np.ndarray = np.sort(order[start : start + params.batch_size])
            clean = to_pixels(task.train.images[indices], device)
            labels = labels_all[indices].to(device)
            adversarial = task.adversary(indices, clean, labels)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                loss = objective(clean, adversarial, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            done += len(indices)
            # Reading the loss waits for the device, so only every tenth step is shown.
            shown = f"loss {losses[-1].item():.3f}" if len(losses) % 10 == 1 else ""
            task.context.report(Progress(stage="tuning", done=done, total=total, detail=shown))
        mean = float(torch.stack(losses).mean())
        if not np.isfinite(mean):
            raise PluginError(f"the training loss became {mean} in epoch {epoch + 1}; lower --lr")
        history.append({"epoch": epoch + 1, "loss": mean})
    network.eval()
    return history
