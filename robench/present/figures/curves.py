"""Loss and validation accuracy, epoch by epoch."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from robench.present.figures.canvas import LINES, MARKERS, sheet, title
from robench.records.record import RunResult


def curves(result: RunResult) -> Figure:
    """Draw the losses of each epoch and, where validation images were scored, their accuracies."""
    assert result.tuning is not None
    history = result.tuning.history
    accuracies = [key for key in history[0] if key in ("validation_clean", "validation_adversarial")]
    figure, axes = sheet(5 * (1 + bool(accuracies)), 3.6, 1, 1 + bool(accuracies))
    figure.suptitle(title(result), fontsize=9)
    epochs = [row["epoch"] for row in history]
    axes[0, 0].plot(epochs, [row["loss"] for row in history], color="black", marker="o", label="training")
    axes[0, 0].set_ylabel("loss")
    if "validation_loss" in history[0]:
        losses = [row["validation_loss"] for row in history]
        axes[0, 0].plot(epochs, losses, LINES[1], color="black", marker=MARKERS[1], label="validation, cross-entropy")
        axes[0, 0].legend()
    for number, key in enumerate(accuracies):
        values = [100 * row[key] for row in history]
        name = key.removeprefix("validation_")
        axes[0, 1].plot(epochs, values, LINES[number], color="black", marker=MARKERS[number], label=name)
    if accuracies:
        axes[0, 1].set_ylabel("validation accuracy, %")
        axes[0, 1].legend()
    for cell in axes.flat:
        cell.set_xlabel("epoch")
        cell.xaxis.set_major_locator(MaxNLocator(integer=True))
        cell.grid(color="0.9")
    return figure
