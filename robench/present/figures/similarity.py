"""The similarity of each sample image and each class prompt, clean and attacked."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from robench.present.figures.canvas import headline, matrix, readable, sheet
from robench.records.record import RunResult
from robench.records.samples import Samples

MOST_COLUMNS = 3


def similarity(result: RunResult, samples: Samples) -> Figure:
    """Draw a matrix of sample images and classes: cosines with the class prompts, or logits of a model without text."""
    assert result.data is not None
    names = [readable(name) for name in result.data.class_names]
    rows = [names[samples.labels[index]] for index in samples.indices]
    parts = [("clean", samples.logits), *((attack.label, attack.logits) for attack in samples.attacks)]
    scale = samples.temperature or 1.0
    values = [np.asarray(logits, dtype=np.float64) / scale for _, logits in parts]
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    width = max(3.4, 0.42 * len(names) + 1.2)
    columns = min(MOST_COLUMNS, len(parts))
    lines = -(-len(parts) // columns)
    figure, axes = sheet(width * columns, (0.38 * len(rows) + 1.9) * lines, lines, columns, sharey=True)
    for cell in axes.flat[len(parts) :]:
        cell.axis("off")
    measure = "cosine of image and class prompt" if samples.temperature else "logit"
    form = "{:.2f}" if samples.temperature else "{:.1f}"
    headline(figure, result, f"{measure[0].upper()}{measure[1:]}, for sample images and classes")
    for cell, (name, _), part in zip(axes.flat, parts, values, strict=False):
        matrix(cell, part, rows, names, low=low, high=high, numbers=part, form=form)
        cell.set_title(name, fontsize=8)
    for cell in axes[:, 0]:
        cell.set_ylabel("image, by its class")
    return figure
