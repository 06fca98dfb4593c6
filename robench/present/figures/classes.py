"""The distribution of labels and predictions over the classes, and the accuracy of each class."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.present.figures.canvas import headline, look, readable, sheet
from robench.records.record import RunResult
from robench.records.samples import Samples
from robench.statistics.intervals import Mask


def class_accuracy(labels: NDArray[np.int64], right: Mask, n_classes: int) -> NDArray[np.float64]:
    """Return the accuracy of each class, ``(n_classes,)``; NaN for a class without images.

    Args:
        right: Which images are classified correctly, ``bool (n,)``.
    """
    images = np.bincount(labels, minlength=n_classes)
    accuracy: NDArray[np.float64] = np.full(n_classes, np.nan)
    np.divide(np.bincount(labels, weights=right, minlength=n_classes), images, out=accuracy, where=images > 0)
    return accuracy


def classes(result: RunResult, samples: Samples) -> Figure:
    """Draw, class by class, the number of images and of predictions, and the accuracy clean and under each attack."""
    assert result.data is not None
    n_classes = len(result.data.class_names)
    names = [readable(name) for name in result.data.class_names]
    series = [("clean", samples.predictions), *((attack.label, attack.predictions) for attack in samples.attacks)]
    figure, axes = sheet(max(6.5, 0.75 * n_classes + 2), 7.5, 2, 1)
    headline(figure, result, f"Labels, predictions and accuracy of {result.spec.split} images by class")
    width = 0.8 / (len(series) + 1)
    places = np.arange(n_classes)
    shares = [("labels", samples.labels), *((f"predicted, {name}", found) for name, found in series)]
    for number, (name, found) in enumerate(shares):
        share = 100 * np.bincount(found, minlength=n_classes) / len(found)
        axes[0, 0].bar(places + number * width, share, width, label=f"{name} (n={len(found)})", **look(number))
    axes[0, 0].set_ylabel("share of images, %")
    for number, (name, found) in enumerate(series):
        labels = samples.labels[: len(found)]
        accuracy = 100 * class_accuracy(labels, found == labels, n_classes)
        axes[1, 0].bar(places + number * width, accuracy, width, label=f"{name} (n={len(found)})", **look(number + 1))
    axes[1, 0].set_ylabel("accuracy, %")
    axes[1, 0].set_ylim(0, 100)
    for cell in axes.flat:
        cell.set_xticks(places + 0.4 - width / 2, names, rotation=30, ha="right", fontsize=8)
        cell.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        cell.grid(axis="y", color="0.9", zorder=0)
        cell.set_axisbelow(True)
    return figure
