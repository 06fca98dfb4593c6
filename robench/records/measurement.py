"""What a run measured, dataset by dataset, and what two runs must share to be ranked together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robench.compute.precision import judging
from robench.records.confidences import AnsweredScore
from robench.records.labels import defence_label, tuner_label
from robench.records.record import (
    AttackScore,
    CertifiedScore,
    ComponentSpec,
    DataRecord,
    Evaluation,
    RunResult,
    Score,
    WorstCase,
)

COMPARED = ("dataset", "split", "n", "test images", "precision", "attacks")
"""The names of the parts of :func:`comparison_key`."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run measured on one dataset: its own, or another that it was scored on."""

    record: RunResult
    dataset: ComponentSpec
    data: DataRecord
    clean: AnsweredScore
    attacks: tuple[AttackScore, ...]
    worst_case: tuple[WorstCase, ...]

    @property
    def tuner(self) -> str:
        """The tuner as typed; also the dataset it was tuned on if that is another, and float32 if asked for."""
        tuned = f" (tuned {self.tuned})" if self.tuned else ""
        return tuner_label(self.record.spec) + tuned + self.defence

    @property
    def tuned(self) -> str:
        """Where and how it was tuned if that is not as usual: ``on cifar10 in float32``; empty otherwise."""
        spec = self.record.spec
        home = self.dataset == spec.dataset or (spec.train_size is None and spec.adapter is None)
        tuned = [] if home else [f"on {spec.dataset.label}"]
        tuned += ["in float32"] if spec.precision == "float32" and spec.train_size is not None else []
        return " ".join(tuned)

    @property
    def defence(self) -> str:
        """The defence as typed and how it was attacked, in parentheses; empty without one."""
        if not self.record.spec.defences:
            return ""
        ways = list(dict.fromkeys(score.defence for score in self.attacks if score.defence))
        return f" (defence {defence_label(self.record.spec)}{'; attacked: ' if ways else ''}{'; '.join(ways)})"

    @property
    def precision(self) -> str:
        """The precision of evaluation and attacks as text; empty if all was float32."""
        evaluation, attacks = judging(self.record.spec.precision)
        stages = (f"scored in {evaluation}", f"attacked in {attacks}")
        return ", ".join(stages) if (evaluation, attacks) != ("float32", "float32") else ""

    @property
    def certified(self) -> tuple[CertifiedScore, ...]:
        """What the defence proves of the images of the run's own dataset; nothing of another."""
        return self.record.certified if self.data is self.record.data else ()

    @property
    def worst(self) -> WorstCase | None:
        """The worst case over all attacks; None if they have several norms."""
        return self.worst_case[0] if len(self.worst_case) == 1 else None


def measurements(record: RunResult) -> list[Measured]:
    """Return what a completed run measured, dataset by dataset, its own first."""
    assert record.data is not None and record.clean is not None
    home = Evaluation(
        dataset=record.spec.dataset,
        data=record.data,
        clean=record.clean,
        attacks=record.attacks,
        worst_case=record.worst_case,
    )
    return [Measured(record=record, **dict(found)) for found in (home, *record.elsewhere)]


def comparison_key(found: Measured) -> tuple[Any, ...]:
    """Return what two measurements must share to be ranked together."""
    spec = found.record.spec
    return (
        found.dataset.name,
        spec.split,
        found.clean.n,
        found.data.test_fingerprint,
        found.precision,
        tuple(sorted(attack_keys(found))),
    )


def attack_keys(found: Measured) -> list[tuple[Any, ...]]:
    """Return for each attack what two measurements must share to be ranked together."""
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
    """Return clean minus adversarial accuracy, both on the attacked images, in points."""
    return 100 * (float(clean.mask()[: attack.n].mean()) - attack.accuracy)
