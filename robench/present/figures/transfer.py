"""Which surrogate's images fool which target: one matrix over several runs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from robench.present.figures.canvas import matrix, sheet
from robench.records.labels import tuner_label
from robench.records.record import AttackScore, RunResult, RunSpec

Threat = tuple[str, str, str, str, int, str]
"""Method, norm, epsilon, images attacked, n, and all parameters of the method."""


def transfer_matrix(records: Sequence[RunResult]) -> tuple[Threat, list[str], list[str], NDArray[np.float64]] | None:
    """Return the accuracies, in percent, of targets (columns) on the images of surrogates (rows), or None.

    Taken is the threat that most runs share: one method with all its parameters, data set and number of images. The
    row ``itself (white-box)`` holds each target's accuracy under the attack on itself. A cell is the mean over the
    runs that differ in their seed alone; missing combinations are NaN.
    """
    found: dict[Threat, dict[tuple[str, str], dict[str, float]]] = {}
    targets = _target_names(records)
    for record in sorted(records, key=lambda record: record.provenance.started):
        if record.data is None:
            continue
        for spec, score in zip(record.spec.attacks, record.attacks, strict=False):
            if score.knowledge in ("query", "nothing"):
                continue
            params = str(sorted(spec.params.items()))
            threat = (spec.name, score.norm, score.eps, record.data.test_fingerprint, score.n, params)
            cell = found.setdefault(threat, {}).setdefault((_source(score), targets[record.run_id]), {})
            # By the hash of its spec, so that of a run's repeats only the latest counts.
            cell[record.spec.run_id()] = 100 * score.accuracy
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
    """Return what to call the target of each run: model and tuner, and what it learned on where that differs."""
    short = {record.run_id: f"{record.spec.model.label}, {tuner_label(record.spec)}" for record in records}
    trained = {record.run_id: _training(record.spec) for record in records}
    several = {
        name
        for name in short.values()
        if len({trained[run_id] for run_id, other in short.items() if other == name}) > 1
    }
    return {run_id: f"{name}, {trained[run_id]}" if name in several else name for run_id, name in short.items()}


def _training(spec: RunSpec) -> str:
    return f"{spec.dataset.label}, {spec.train_size or 0:,} training images"


def transfer(records: Sequence[RunResult]) -> Figure:
    """Draw the matrix of :func:`transfer_matrix`; the darker, the more of the target's accuracy is left."""
    content = transfer_matrix(records)
    assert content is not None
    (method, norm, eps, _, n, _), rows, columns, values = content
    targets, sources = ([textwrap.fill(name, 28) for name in names] for names in (columns, rows))
    lines = sum(max(2, 1 + name.count("\n")) for name in sources)
    longest = max(1 + name.count("\n") for name in targets)
    figure, axes = sheet(max(6.0, 1.1 * len(columns) + 3.5), 0.25 * lines + 0.25 * longest + 2.8)
    matrix(axes[0, 0], values, sources, targets, low=0, high=100, form="{:.1f}")
    axes[0, 0].set_title(f"accuracy, %, under {method} at {norm} {eps}, n={n}", fontsize=9)
    axes[0, 0].set_xlabel("target")
    axes[0, 0].set_ylabel("images made on")
    return figure


def _source(score: AttackScore) -> str:
    return score.surrogate.name if score.surrogate else "itself (white-box)"
