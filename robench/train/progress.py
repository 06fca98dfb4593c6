"""The progress of a training, with a loss that is shown once it has arrived from the device."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.contracts.context import Progress, Report


class TrainingProgress:
    """Reports how many of `total` images are done. Nothing waits for the device."""

    def __init__(self, report: Report, total: int) -> None:
        self.report, self.total = report, total
        self._loss: Tensor | None = None
        self._arrived: torch.cuda.Event | None = None

    def fetch(self, loss: Tensor) -> None:
        """Start to copy a loss, a scalar, to the CPU, so that a later report shows it."""
        self._loss = loss.detach().to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event() if loss.is_cuda else None
        if self._arrived is not None:
            self._arrived.record(torch.cuda.current_stream(loss.device))

    def at(self, done: int, lr: float) -> None:
        """Report that `done` images are done, with the loss and the learning rate if a loss has arrived."""
        progress = Progress(stage="tuning", done=done, total=self.total)
        if self._loss is not None and (self._arrived is None or self._arrived.query()):
            loss, self._loss = self._loss.item(), None
            values = {"loss": loss, "lr": lr}
            progress = Progress(stage="tuning", done=done, total=self.total, detail=f"loss {loss:.3f}", values=values)
        self.report(progress)
