"""Training images and augmented versions of them."""

from __future__ import annotations

from matplotlib.figure import Figure

from robench.present.figures.canvas import sheet, show
from robench.records.record import RunResult
from robench.records.samples import Samples

MOST_ROWS = 6


def augmented(result: RunResult, samples: Samples) -> Figure:
    """Draw training images as rows: the original, then augmented versions of it."""
    assert samples.augmented is not None
    shown = samples.augmented[:MOST_ROWS]
    rows, columns = shown.shape[:2]
    figure, axes = sheet(1.4 * columns, 1.4 * rows + 0.6, rows, columns)
    recipe = result.spec.tuner.params.get("augment", "")
    figure.suptitle(f"training images and what augmentation makes of them{recipe and ': ' + recipe}", fontsize=9)
    for row in range(rows):
        for column in range(columns):
            show(axes[row, column], shown[row, column])
    axes[0, 0].set_title("original", fontsize=8)
    for column in range(1, columns):
        axes[0, column].set_title(f"augmented {column}", fontsize=8)
    return figure
