"""Turn one record into the rows of :data:`robench.leaderboard.schema.MEASUREMENT`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from robench.contracts.types import USUAL_NORM
from robench.errors import DataError
from robench.leaderboard.schema import MEASUREMENT
from robench.records.labels import attack_label, command_of
from robench.records.measurement import Measured, attack_keys, comparison_key, drop, measurements
from robench.records.query_counts import told
from robench.records.record import AttackScore, DataRecord, RunResult, RunSpec, Score
from robench.statistics.intervals import by_class
from robench.statistics.worst_case import within_balls

RANKED: dict[str, Any] = {"corruptions": ()}
"""What of a spec nothing is ranked by: runs that differ in it alone are repeats of one run."""


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
        (attack_label(score.label, score.n, found.clean.n), f"{score.norm} {score.eps} {score.knowledge}", score.n)
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
        "n_clean": found.clean.n,
        "resolution": _resolution(found.data),
        "precision": found.precision,
        "surrogates": json.dumps([score.surrogate.name for score in found.attacks if score.surrogate]),
        "model": spec.model.label,
        "model_name": spec.model.name,
        "tuner": found.tuner,
        "settings": _settings(spec),
        "asked": asked_of(found),
        "method": int(spec.model_copy(update={**RANKED, "seed": 0, "attacks": _in_order(spec)}).run_id(), 16),
        "ranked_as": spec.model_copy(update=RANKED).run_id() if spec.corruptions else record.run_id[:12],
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
        "certified": json.dumps([(each.norm, each.eps, each.n, each.correct) for each in found.certified]),
        **_classes(found, attacks),
        **_queries(attacks),
        **_sorts(found, attacks),
    }


def _resolution(data: DataRecord) -> str:
    """Return the size at which images are attacked: ``32 px`` if they are square, else height and width."""
    height, width = data.image_size
    return f"{height} px" if height == width else f"{height} x {width} px"


def _in_order(spec: RunSpec) -> tuple[Any, ...]:
    return tuple(sorted(spec.attacks, key=lambda attack: (attack.label, attack.n)))


def _settings(spec: RunSpec) -> str:
    """Return the command of a run without its seed."""
    size = f"--test-size {spec.test_size}"
    return command_of(spec).replace(f"{size} --seed {spec.seed}", size)


def asked_of(found: Measured) -> str:
    """Return what :mod:`robench.leaderboard.naming` names a method by, as JSON."""
    spec = found.record.spec
    adversary = spec.adversary
    by_prompts = found.data.prompts is not None or "template" in spec.model.params
    asked = {
        "tuner": spec.tuner.name,
        "given": spec.tuner.label.partition(":")[2],
        "params": spec.tuner.params,
        "trains": spec.train_size is not None,
        "zero_shot": by_prompts and spec.train_size is None and spec.adapter is None,
        "images": f"{spec.shots} shots" if spec.shots else f"{spec.train_size:,} images" if spec.train_size else "",
        "adapter": spec.adapter.path if spec.adapter else "",
        "elsewhere": found.tuned,
        "defence": found.defence,
    }
    if adversary is not None:
        norm = adversary.params.get("norm", USUAL_NORM)
        asked["adversary"] = {
            "name": adversary.name,
            "surrogate": adversary.surrogate.name if adversary.surrogate else "",
            "eps": ("" if norm == USUAL_NORM else f"{norm} ") + str(adversary.params.get("eps", "")),
        }
    return json.dumps(asked)


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


def _queries(attacks: list[AttackScore]) -> dict[str, Any]:
    """Return how many images are right after 1, 10, 100 and so on queries; nothing if no attack asked."""
    found = []
    for score in attacks:
        counts = score.queries
        at = told(counts.budget or counts.most) if counts is not None else []
        found.append(list(zip(at, counts.right_at(at, score.n), strict=True)) if counts is not None and at else None)
    return {"queries": json.dumps(found)} if any(found) else {}


def _sorts(found: Measured, attacks: list[AttackScore]) -> dict[str, Any]:
    """Return the balls of a row, and what rows are sorted and ranked by."""
    weakest: Score = min(found.attacks, key=lambda score: score.accuracy, default=found.clean)
    worst = within_balls(found.clean, attacks)
    drops = [drop(found.clean, score) for score in attacks]
    return {
        "balls": json.dumps([list(vars(ball).values()) for ball, _ in worst]),
        "drops": drops,
        "worst_correct": [int(np.count_nonzero(right)) for _, right in worst],
        "sum": float(sum(score.accuracy for score in found.attacks)),
        "by_adversarial": -weakest.accuracy,
        "by_drop": max(drops, default=0.0),
        "right_worst": b"".join(np.packbits(right).tobytes() for _, right in worst),
        "right_clean": base64.b64decode(found.clean.bits),
        "right_adversarial": base64.b64decode(weakest.bits),
        "n_adversarial": weakest.n,
    }
