"""How many images each class has, before and after balancing."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from robench.present.figures.canvas import headline, look, readable, sheet
from robench.records.record import RunResult


def counts(result: RunResult) -> dict[str, tuple[int, ...]]:
    """Return the number of images of each class: trained on, drawn in an epoch (if that differs), and scored."""
    data, tuning = result.data, result.tuning
    found = {
        "training images": data.train_counts if data else None,
        "drawn in an epoch": tuning.drawn_counts if tuning else None,
        "scored images": data.test_counts if data else None,
    }
    if found["drawn in an epoch"] == found["training images"]:
        del found["drawn in an epoch"]
    return {name: values for name, values in found.items() if values is not None}


def balance(result: RunResult) -> Figure:
    """Draw the class distributions of :func:`counts` as bars."""
    assert result.data is not None
    names = [readable(name) for name in result.data.class_names]
    series = counts(result)
    figure, axes = sheet(max(6.5, 0.75 * len(names) + 2), 4.2)
    headline(figure, result, "Images of each class")
    width, places = 0.8 / len(series), np.arange(len(names))
    for number, (name, values) in enumerate(series.items()):
        bars = axes[0, 0].bar(places + number * width, values, width, label=name, **look(number))
        axes[0, 0].bar_label(bars, fontsize=6)
    axes[0, 0].set_xticks(places + 0.4 - width / 2, names, rotation=30, ha="right", fontsize=8)
    axes[0, 0].set_ylabel("images")
    axes[0, 0].legend(fontsize=8, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
