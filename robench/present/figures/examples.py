"""Clean image, amplified change and adversarial image side by side; and the sample images alone."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax

from robench.present.figures.canvas import headline, readable, sheet, show
from robench.records.record import RunResult
from robench.records.samples import Samples

AMPLIFIED_TO = 0.45
"""How far from grey, in ``[0, 1]``, the largest change of a pixel is drawn."""
MOST_ROWS = 6


def examples(result: RunResult, samples: Samples) -> Figure:
    """Draw sample images as rows: clean, then for each attack the amplified change and the adversarial image.

    Below each image are the predicted class and its softmax probability, marked as right or wrong.
    """
    assert result.data is not None
    names = result.data.class_names
    rows = min(MOST_ROWS, len(samples.indices))
    columns = 1 + 2 * len(samples.attacks)
    figure, axes = sheet(2.1 * columns, 2.2 * rows + 0.6, rows, columns)
    headline(figure, result, f"Some {result.spec.split} images, clean and attacked, with the predictions")
    for row in range(rows):
        label = int(samples.labels[samples.indices[row]])
        show(axes[row, 0], samples.clean[row])
        axes[row, 0].set_title(f"clean: {readable(names[label])}", fontsize=8)
        _verdict(axes[row, 0], samples.logits[row], label, names)
        for number, attack in enumerate(samples.attacks):
            change, factor, largest = amplified(samples.clean[row], attack.images[row])
            show(axes[row, 1 + 2 * number], change)
            axes[row, 1 + 2 * number].set_title(f"change x {factor:.3g}", fontsize=8)
            axes[row, 1 + 2 * number].set_xlabel(f"largest {largest:.0f}/255", fontsize=8)
            show(axes[row, 2 + 2 * number], attack.images[row])
            axes[row, 2 + 2 * number].set_title(attack.label, fontsize=8, wrap=True)
            _verdict(axes[row, 2 + 2 * number], attack.logits[row], label, names)
    return figure


def amplified(clean: NDArray[np.uint8], attacked: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float, float]:
    """Return the change of an image, drawn around grey in ``[0, 1]``; its amplification; its largest value of 255."""
    change = attacked.astype(np.float64) - clean
    largest = float(np.abs(change).max())
    factor = AMPLIFIED_TO * 255 / max(1.0, largest)
    return np.clip(0.5 + factor * change / 255, 0, 1), factor, largest


def random_samples(result: RunResult, samples: Samples) -> Figure:
    """Draw the sample images, the first of each class, with their labels."""
    assert result.data is not None
    columns = min(5, len(samples.indices))
    rows = -(-len(samples.indices) // columns)
    figure, axes = sheet(1.9 * columns, 2.1 * rows + 0.4, rows, columns)
    figure.suptitle(f"{result.spec.dataset.label}, {result.spec.split} images: the first of each class", fontsize=9)
    for cell in axes.flat:
        cell.axis("off")
    for cell, image, index in zip(axes.flat, samples.clean, samples.indices, strict=False):
        show(cell, image)
        cell.set_title(f"{readable(result.data.class_names[samples.labels[index]])}\nimage {index}", fontsize=8)
    return figure


def _verdict(axes: Axes, logits: NDArray[np.float32], label: int, names: tuple[str, ...]) -> None:
    """Write the predicted class, its softmax probability, and whether it is right."""
    found = int(logits.argmax())
    mark = "right" if found == label else "WRONG"
    axes.set_xlabel(f"{mark}: {readable(names[found])}\n{softmax(logits)[found]:.0%}", fontsize=8)
