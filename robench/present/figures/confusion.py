"""Confusion matrices."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from robench.present.figures.canvas import headline, matrix, readable, sheet
from robench.records.record import RunResult
from robench.records.samples import Samples

MOST_COLUMNS = 2
MOST_CLASSES = 25
"""With more classes, the numbers are left out and only the shades are drawn."""


def confusion(result: RunResult, samples: Samples) -> Figure:
    """Draw the confusion matrices, clean and under each attack: true classes as rows, predicted ones as columns.

    The darker a cell, the larger its share of the row; the numbers are images.
    """
    assert result.data is not None
    names = [readable(name, 24) for name in result.data.class_names]
    found = [("clean", samples.predictions), *((attack.label, attack.predictions) for attack in samples.attacks)]
    columns = min(MOST_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    side = max(3.6, 0.42 * len(names) + 1.6)
    figure, axes = sheet(side * columns + 0.8, side * rows, rows, columns, sharey=True)
    cells = (
        "numbers are images, the shade is the share of the row"
        if len(names) <= MOST_CLASSES
        else "shades are shares of the row"
    )
    headline(figure, result, f"Which class is taken for which; {cells}")
    for cell in axes.flat[len(found) :]:
        cell.axis("off")
    for cell, (name, predictions) in zip(axes.flat, found, strict=False):
        labels = samples.labels[: len(predictions)]
        counts = confusion_matrix(labels, predictions, labels=np.arange(len(names)))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        numbers = counts if len(names) <= MOST_CLASSES else None
        matrix(cell, shares, names, names, low=0, high=1, numbers=numbers, form="{:d}")
        cell.set_title(f"{name} (n={len(predictions)})", fontsize=8)
        cell.set_xlabel("predicted", fontsize=8)
    for cell in axes[:, 0]:
        cell.set_ylabel("true", fontsize=8)
    return figure
