"""What one run found on one dataset, whichever of its datasets that is."""

from __future__ import annotations

from dataclasses import dataclass

from robench.provenance import tuner_label
from robench.records import AttackScore, ComponentSpec, DataRecord, RunResult, Score, WorstCase


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
        """The tuner as typed and, on another dataset, what it was tuned on."""
        spec = self.record.spec
        home = self.dataset == spec.dataset or (spec.train_size is None and spec.adapter is None)
        return tuner_label(spec) + ("" if home else f" (tuned on {spec.dataset.label})")

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
