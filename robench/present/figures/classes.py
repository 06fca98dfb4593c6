"""How labels and predictions are spread over the classes, and how accurate each class is."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.present.figures.canvas import GREYS, HATCHES, readable, sheet, title
from robench.records.record import RunResult
from robench.records.samples import Samples


def class_accuracy(labels: NDArray[np.int64], predictions: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Return the accuracy of each class, ``(n_classes,)``; NaN for a class without images."""
    right = np.bincount(labels, weights=labels == predictions, minlength=n_classes)
    images = np.bincount(labels, minlength=n_classes)
    accuracy: NDArray[np.float64] = np.divide(right, images, out=np.full(n_classes, np.nan), where=images > 0)
    return accuracy


def classes(result: RunResult, samples: Samples) -> Figure:
    """Draw, class by class, the number of images and of predictions, and the accuracy clean and under each attack."""
    assert result.data is not None
    n_classes = len(result.data.class_names)
    names = [readable(name) for name in result.data.class_names]
    series = [("clean", samples.predictions), *((attack.label, attack.predictions) for attack in samples.attacks)]
    figure, axes = sheet(max(6.5, 0.75 * n_classes + 2), 7.5, 2, 1)
    figure.suptitle(title(result), fontsize=9)
    width = 0.8 / (len(series) + 1)
    places = np.arange(n_classes)
    shares = [("labels", samples.labels), *((f"predicted, {name}", found) for name, found in series)]
    for number, (name, found) in enumerate(shares):
        share = 100 * np.bincount(found, minlength=n_classes) / len(found)
        axes[0, 0].bar(places + number * width, share, width, label=f"{name} (n={len(found)})", **_look(number))
    axes[0, 0].set_ylabel("share of images, %")
    for number, (name, found) in enumerate(series):
        accuracy = 100 * class_accuracy(samples.labels[: len(found)], found, n_classes)
        axes[1, 0].bar(places + number * width, accuracy, width, label=f"{name} (n={len(found)})", **_look(number + 1))
    axes[1, 0].set_ylabel("accuracy, %")
    axes[1, 0].set_ylim(0, 100)
    for cell in axes.flat:
        cell.set_xticks(places + 0.4 - width / 2, names, rotation=30, ha="right", fontsize=8)
        cell.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        cell.grid(axis="y", color="0.9", zorder=0)
        cell.set_axisbelow(True)
    return figure


def _look(number: int) -> dict[str, object]:
    return {
        "facecolor": GREYS[number % len(GREYS)],
        "hatch": HATCHES[number % len(HATCHES)],
        "edgecolor": "black",
        "linewidth": 0.5,
    }
