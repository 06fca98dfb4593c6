"""Turn one record into the rows of :data:`robench.leaderboard.schema.MEASUREMENT`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from robench.errors import DataError
from robench.leaderboard.schema import MEASUREMENT
from robench.records.labels import attack_label
from robench.records.measurement import Measured, attack_keys, comparison_key, drop, measurements
from robench.records.record import AttackScore, RunResult, Score
from robench.statistics.intervals import by_class


def measurement_table(records: Iterable[RunResult]) -> pa.Table:
    """Return all measurements of `records`, in their order.

    Raises:
        DataError: A record contradicts itself.
    """
    return pa.Table.from_pylist([row for record in records for row in measurement_rows(record)], schema=MEASUREMENT)


def measurement_rows(record: RunResult) -> list[dict[str, Any]]:
    """Return the measurements of one record; columns that are null are left out.

    Raises:
        DataError: The record contradicts itself.
    """
    run = {
        "run_id": record.run_id,
        "started": record.provenance.started,
        "completed": int(record.status == "completed"),
    }
    if record.status != "completed":
        return [{**run, "part": 0}]
    return [{**run, "part": part, **_flatten(found)} for part, found in enumerate(measurements(record))]


def _flatten(found: Measured) -> dict[str, Any]:
    record, spec = found.record, found.record.spec
    assert record.tuning is not None
    if [score.label for score in found.attacks] != [attack.label for attack in spec.attacks]:
        raise DataError(f"run {record.run_id}: its attacks are not those asked for")
    # The order of the table: transfer before white-box, then by radius and name, the same in every row.
    keyed = zip(attack_keys(found), range(len(found.attacks)), strict=True)
    attacks = [found.attacks[number] for key, number in sorted(keyed, key=lambda each: (each[0][4], *each))]
    columns = [
        (attack_label(score.label, score.n, spec.test_size), f"{score.norm} {score.eps} {score.knowledge}", score.n)
        for score in attacks
    ]
    plugins = sorted({name for name in record.provenance.plugins.values() if not name.startswith("robench ")})
    return {
        "comparison": json.dumps(comparison_key(found)),
        "columns": json.dumps(columns),
        "dataset": found.dataset.label,
        "dataset_name": found.dataset.name,
        "split": spec.split,
        "images": found.data.test_fingerprint,
        "n_clean": spec.test_size,
        "worst_eps": found.worst.eps if found.worst else None,
        "precision": found.precision,
        "surrogates": json.dumps([score.surrogate.name for score in found.attacks if score.surrogate]),
        "model": spec.model.label,
        "model_name": spec.model.name,
        "tuner": found.tuner,
        "tuner_label": spec.tuner.label,
        "tuner_name": spec.tuner.name,
        "seed": str(spec.seed),
        "trainable_parameters": record.tuning.trainable_parameters,
        "seconds": record.seconds.get("total", sum(record.seconds.values())),
        "warnings": json.dumps(record.warnings),
        "checks": record.verdict or "none",
        "plugins": json.dumps(plugins),
        "n": [score.n for score in (found.clean, *attacks)],
        "correct": [score.correct for score in (found.clean, *attacks)],
        **_classes(found, attacks),
        **_sorts(found, attacks),
    }


def _classes(found: Measured, attacks: list[AttackScore]) -> dict[str, Any]:
    """Return the accuracies over classes; nothing for a record without labels."""
    labels, names = found.data.scored_labels(), found.data.class_names
    if labels is None:
        return {}
    if labels.max() >= len(names) or len(labels) < max(score.n for score in (found.clean, *attacks)):
        raise DataError(f"run {found.record.run_id}: its labels do not fit its {len(names)} classes and its images")
    classes = [by_class(score.mask(), labels, names) for score in (found.clean, *attacks)]
    return {
        "macro": [each.macro for each in classes],
        "lowest_n": [each.lowest.n for each in classes],
        "lowest_correct": [round(each.lowest.percent * each.lowest.n / 100) for each in classes],
        "lowest_name": json.dumps([each.lowest_name for each in classes]),
    }


def _sorts(found: Measured, attacks: list[AttackScore]) -> dict[str, Any]:
    """Return what rows are sorted and ranked by."""
    weakest: Score = min(found.attacks, key=lambda score: score.accuracy, default=found.clean)
    worst: Score = found.worst or weakest
    drops = [drop(found.clean, score) for score in attacks]
    return {
        "drops": drops,
        "worst_n": found.worst.n if found.worst else None,
        "worst_correct": found.worst.correct if found.worst else None,
        "sum": float(sum(score.accuracy for score in found.attacks)),
        "by_worst": -worst.accuracy,
        "by_clean": -found.clean.accuracy,
        "by_adversarial": -weakest.accuracy,
        "by_drop": max(drops, default=0.0),
        "right_worst": base64.b64decode(worst.bits),
        "right_clean": base64.b64decode(found.clean.bits),
        "right_adversarial": base64.b64decode(weakest.bits),
        "n_worst": worst.n,
        "n_adversarial": weakest.n,
    }
