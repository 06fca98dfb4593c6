"""The transfer matrix of several runs: how often the images of each surrogate fool each target."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.present.figures.canvas import matrix, sheet
from robench.records.labels import method_label
from robench.records.record import RunResult
from robench.statistics.intervals import success

Threat = tuple[str, str, str, str, int, str]
"""Method, norm, epsilon, images attacked, n, and all parameters of the method."""


def transfer_matrix(records: Sequence[RunResult]) -> tuple[Threat, list[str], list[str], NDArray[np.float64]] | None:
    """Return how often images of surrogates (rows) fool targets (columns), with the names of all three: of the images
    that a target has right, the share that it then has wrong, in percent.

    The matrix is about the threat that most runs share: one method with all its parameters, dataset and number of
    images. The row ``itself (white-box)`` has the attack on each target itself. A cell is the mean
    over runs that differ only in their seed; missing combinations are NaN. None if no run has such an attack.
    """
    found: dict[Threat, dict[tuple[str, str], dict[str, float]]] = {}
    targets = _target_names(records)
    for record in sorted(records, key=lambda record: record.provenance.started):
        if record.data is None:
            continue
        for spec, score in zip(record.spec.attacks, record.attacks, strict=False):
            if score.knowledge in ("query", "labels", "unaware", "nothing"):
                continue
            params, rate = str(sorted(spec.params.items())), success(record.clean, score) if record.clean else None
            if rate is None:
                continue
            threat = (spec.name, score.norm, score.eps, record.data.test_fingerprint, score.n, params)
            alone = "itself (white-box)" if score.knowledge == "white-box" else "made elsewhere"
            source = score.surrogate.name if score.surrogate else alone
            cell = found.setdefault(threat, {}).setdefault((source, targets[record.run_id]), {})
            # By the hash of the spec, so that only the latest of a run's repeats counts.
            cell[record.spec.run_id()] = rate.percent
    if not found:
        return None
    threat = max(found, key=lambda key: (len(found[key]), key[4]))
    cells = found[threat]
    rows = [name for name, _ in Counter(source for source, _ in cells).most_common()]
    columns = list(dict.fromkeys(target for _, target in cells))
    values = np.array(
        [[np.mean(list(cells.get((row, column), {"": np.nan}).values())) for column in columns] for row in rows]
    )
    return threat, rows, columns, values


def _target_names(records: Sequence[RunResult]) -> dict[str, str]:
    """Return a name for the target of each run: model and tuner, and the training images if these differ."""
    specs = {record.run_id: record.spec for record in records}
    short = {run_id: f"{spec.model.label}, {method_label(spec)}" for run_id, spec in specs.items()}
    trained = {
        run_id: f"{spec.dataset.label}, {spec.train_size or 0:,} training images" for run_id, spec in specs.items()
    }
    several = {
        name
        for name in short.values()
        if len({trained[run_id] for run_id, other in short.items() if other == name}) > 1
    }
    return {run_id: f"{name}, {trained[run_id]}" if name in several else name for run_id, name in short.items()}


def transfer(records: Sequence[RunResult]) -> Figure:
    """Draw the matrix of :func:`transfer_matrix`; the darker a cell, the more images are fooled."""
    content = transfer_matrix(records)
    assert content is not None
    (method, norm, eps, _, n, _), rows, columns, values = content
    targets, sources = ([textwrap.fill(name, 28) for name in names] for names in (columns, rows))
    lines = sum(max(2, 1 + name.count("\n")) for name in sources)
    longest = max(1 + name.count("\n") for name in targets)
    figure, axes = sheet(max(6.0, 1.1 * len(columns) + 3.5), 0.25 * lines + 0.25 * longest + 2.8)
    matrix(axes[0, 0], values, sources, targets, low=0, high=100, numbers=values, form="{:.1f}")
    axes[0, 0].set_title(f"% of images right before that {method} at {norm} {eps} fools, n={n}", fontsize=9)
    axes[0, 0].set_xlabel("target")
    axes[0, 0].set_ylabel("images made on")
    return figure
