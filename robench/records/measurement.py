"""What one run found on one dataset, whichever of its datasets that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robench.compute.precision import judging
from robench.records.labels import tuner_label
from robench.records.record import AttackScore, ComponentSpec, DataRecord, RunResult, Score, WorstCase

COMPARED = ("dataset", "split", "n", "test images", "precision", "attacks")
"""What the parts of a comparison key are called."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run found on one dataset: the one it was tuned on, or another."""

    record: RunResult
    dataset: ComponentSpec
    data: DataRecord
    clean: Score
    attacks: tuple[AttackScore, ...]
    worst_case: tuple[WorstCase, ...]

    @property
    def tuner(self) -> str:
        """The tuner as typed and, where it is another, what it was tuned on and in."""
        spec = self.record.spec
        home = self.dataset == spec.dataset or (spec.train_size is None and spec.adapter is None)
        tuned = [] if home else [f"on {spec.dataset.label}"]
        tuned += ["in float32"] if spec.precision == "float32" and spec.train_size is not None else []
        return tuner_label(spec) + (f" (tuned {' '.join(tuned)})" if tuned else "")

    @property
    def precision(self) -> str:
        """What images were scored and attacked in, to be shown; empty where all was float32."""
        evaluation, attacks = judging(self.record.spec.precision)
        stages = (f"scored in {evaluation}", f"attacked in {attacks}")
        return ", ".join(stages) if (evaluation, attacks) != ("float32", "float32") else ""

    @property
    def worst(self) -> WorstCase | None:
        """The worst case over all attacks; attacks of several norms have none in common."""
        return self.worst_case[0] if len(self.worst_case) == 1 else None


def measurements(record: RunResult) -> list[Measured]:
    """Return what a completed run found, dataset by dataset."""
    assert record.data is not None and record.clean is not None
    home = Measured(
        record=record,
        dataset=record.spec.dataset,
        data=record.data,
        clean=record.clean,
        attacks=record.attacks,
        worst_case=record.worst_case,
    )
    away = [
        Measured(
            record=record,
            dataset=found.dataset,
            data=found.data,
            clean=found.clean,
            attacks=found.attacks,
            worst_case=found.worst_case,
        )
        for found in record.elsewhere
    ]
    return [home, *away]


def comparison_key(found: Measured) -> tuple[Any, ...]:
    """Return what two measurements must share to stand in one ranking."""
    spec = found.record.spec
    return (
        found.dataset.name,
        spec.split,
        spec.test_size,
        found.data.test_fingerprint,
        found.precision,
        tuple(sorted(attack_keys(found))),
    )


def attack_keys(found: Measured) -> list[tuple[Any, ...]]:
    """Return of each attack what two measurements must share."""
    return [
        (
            score.label,
            str(sorted(attack.params.items())),
            score.norm,
            score.eps,
            score.knowledge,
            score.n,
            score.surrogate.fingerprint if score.surrogate else "",
        )
        for score, attack in zip(found.attacks, found.record.spec.attacks, strict=True)
    ]


def drop(clean: Score, attack: Score) -> float:
    """Return clean minus adversarial accuracy in points, both on the attacked images."""
    return 100 * (float(clean.mask()[: attack.n].mean()) - attack.accuracy)
