"""Loss and validation accuracy, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from robench.present.figures.canvas import headline, line_look, sheet
from robench.records.record import RunResult


def curves(result: RunResult) -> Figure:
    """Draw the losses of each epoch and, where validation images were scored, their accuracies."""
    assert result.tuning is not None
    history = result.tuning.history
    keys = dict.fromkeys(key for row in history for key in row)
    accuracies = [key for key in keys if key in ("validation_clean", "validation_adversarial")]
    figure, axes = sheet(5 * (1 + bool(accuracies)), 3.6, 1, 1 + bool(accuracies))
    headline(figure, result, "Loss and accuracy of each epoch" if accuracies else "Loss of each epoch")
    epochs = [row.get("epoch", number) for number, row in enumerate(history, 1)]
    axes[0, 0].plot(epochs, _values(history, "loss"), **line_look(0), label="training")
    axes[0, 0].set_ylabel("loss")
    if "validation_loss" in keys:
        losses = _values(history, "validation_loss")
        axes[0, 0].plot(epochs, losses, **line_look(1), label="validation, cross-entropy")
        axes[0, 0].legend()
    for number, key in enumerate(accuracies):
        values = [100 * value for value in _values(history, key)]
        name = key.removeprefix("validation_")
        axes[0, 1].plot(epochs, values, **line_look(number), label=name)
    if accuracies:
        axes[0, 1].set_ylabel("validation accuracy, %")
        axes[0, 1].legend()
    for cell in axes.flat:
        cell.set_xlabel("epoch")
        cell.xaxis.set_major_locator(MaxNLocator(integer=True))
        cell.grid(color="0.9")
    return figure


def _values(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """Return a figure of each epoch; NaN where an epoch lacks it, as those of other tuners may."""
    return [row.get(key, math.nan) for row in history]
