"""Precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_fscore_support

from robench.present.report.parts import Table


def classification(labels: NDArray[np.int64], predictions: NDArray[np.int64], class_names: Sequence[str]) -> Table:
    """Return a row for each class, and the macro and weighted means, in percent.

    The recall of a class is its accuracy; under an attack, its robust accuracy. The precision of a class that was never
    predicted, and the recall of a class without images, are 0.
    """
    classes = np.arange(len(class_names))
    figures = precision_recall_fscore_support(labels, predictions, labels=classes, zero_division=0)
    rows = [
        (name, *(f"{100 * value:.1f}" for value in values[:3]), str(int(values[3])))
        for name, values in zip(class_names, zip(*figures, strict=True), strict=True)
    ]
    for mean, name in (("macro", "macro mean"), ("weighted", "mean weighted by support")):
        values = precision_recall_fscore_support(labels, predictions, labels=classes, average=mean, zero_division=0)
        rows.append((name, *(f"{100 * value:.1f}" for value in values[:3]), str(len(labels))))
    return Table(headings=("class", "precision", "recall", "F1", "images"), rows=tuple(rows))


def macro_f1(labels: NDArray[np.int64], predictions: NDArray[np.int64], n_classes: int) -> float:
    """Return the mean F1 over the classes, in percent."""
    return 100 * float(f1_score(labels, predictions, labels=np.arange(n_classes), average="macro", zero_division=0))
