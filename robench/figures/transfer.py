"""Which surrogate's images fool which target: one matrix over several runs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.figures.canvas import matrix, sheet
from robench.records import AttackScore, RunResult

Threat = tuple[str, str, str, str, int]
"""Method, norm, epsilon, images attacked, and n."""


def transfer_matrix(records: Sequence[RunResult]) -> tuple[Threat, list[str], list[str], NDArray[np.float64]] | None:
    """Return the accuracies, in percent, of targets (columns) on the images of surrogates (rows), or None.

    Taken is the threat that most runs share: one method, norm, epsilon, data set and number of images. The row
    ``itself (white-box)`` holds each target's accuracy under the attack on itself. Missing combinations are NaN.
    """
    found: dict[Threat, dict[tuple[str, str], float]] = {}
    for record in records:
        if record.data is None:
            continue
        for spec, score in zip(record.spec.attacks, record.attacks, strict=False):
            if score.knowledge in ("query", "nothing"):
                continue
            threat = (spec.name, score.norm, score.eps, record.data.test_fingerprint, score.n)
            target = f"{record.spec.model.label}, {record.spec.tuner.label}"
            found.setdefault(threat, {})[_source(score), target] = 100 * score.accuracy
    if not found:
        return None
    threat = max(found, key=lambda key: (len(found[key]), key[4]))
    cells = found[threat]
    rows = [name for name, _ in Counter(source for source, _ in cells).most_common()]
    columns = list(dict.fromkeys(target for _, target in cells))
    values = np.array([[cells.get((row, column), np.nan) for column in columns] for row in rows])
    return threat, rows, columns, values


def transfer(records: Sequence[RunResult]) -> Figure:
    """Draw the matrix of :func:`transfer_matrix`; the darker, the more of the target's accuracy is left."""
    content = transfer_matrix(records)
    assert content is not None
    (method, norm, eps, _, n), rows, columns, values = content
    figure, axes = sheet(max(5.0, 1.1 * len(columns) + 2.5), 0.5 * len(rows) + 2.8)
    names = [textwrap.fill(name, 28) for name in columns]
    matrix(axes[0, 0], values, rows, names, low=0, high=100, form="{:.1f}")
    axes[0, 0].set_title(f"accuracy, %, under {method} at {norm} {eps}, n={n}", fontsize=9)
    axes[0, 0].set_xlabel("target")
    axes[0, 0].set_ylabel("images made on")
    return figure


def _source(score: AttackScore) -> str:
    return score.surrogate.name if score.surrogate else "itself (white-box)"
