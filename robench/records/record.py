"""The record of a run: what was asked, what was measured, and what it was measured with.

docs/records.md documents every field, too. ``SCHEMA`` grows when a field changes its meaning. Results are counts with
n, never rates, and the correctness of every image is kept, so that paired tests are possible.
"""

from __future__ import annotations

from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from robench.records.class_labels import unpack_labels
from robench.records.confidences import AnsweredScore as AnsweredScore
from robench.records.consistency import contradictions, misnamed
from robench.records.corrupted import CorruptedScore as CorruptedScore
from robench.records.corrupted import CorruptionRecord as CorruptionRecord
from robench.records.limits import (
    MOST_CLASSES,
    MOST_IMAGES,
    MOST_NUMBER,
    Count,
    Images,
    Line,
    Logged,
    Radius,
    Seconds,
    Text,
    Weights,
)
from robench.records.provenance import Provenance as Provenance
from robench.records.query_counts import QueryCounts as QueryCounts
from robench.records.score import Score as Score
from robench.records.spec import AdapterSpec as AdapterSpec
from robench.records.spec import AttackSpec as AttackSpec
from robench.records.spec import ComponentSpec as ComponentSpec
from robench.records.spec import Record as Record
from robench.records.spec import RunSpec as RunSpec
from robench.records.spec import ScoredSpec as ScoredSpec

SCHEMA = 1
Status = Literal["completed", "failed", "interrupted"]
Verdict = Literal["pass", "warn", "fail", "incomplete", "skipped"]


class SurrogateRecord(Record):
    """The network that a transfer attack took its gradients from."""

    name: Line
    fingerprint: Line = Field(description="SHA-256 of its weights, first 16 hex digits")
    clean_correct: Images = Field(description="clean images of the attacked set that it classifies correctly")
    adversarial_correct: Images = Field(description="the same images after the attack on it")


class AttackScore(AnsweredScore):
    """Accuracy on the adversarial images of one attack."""

    label: Line = Field(description="short form of the attack")
    norm: Line = Field(description="constraint of the threat model, such as the norm Linf")
    eps: Radius = Field(
        description='radius, exact: of a norm in [0, 1] pixel units, such as "8/255"; others with a unit: "10 pixels"'
    )
    knowledge: Line = Field(
        description="what it sees: white-box, unaware of the defence, transfer, query, labels, or nothing for a control"
    )
    surrogate: SurrogateRecord | None
    images: Line = Field(description="SHA-256 of the adversarial images evaluated, first 16 hex digits")
    largest_norm: float = Field(ge=0, le=1e9, description="largest size of a perturbation, as the radius counts it")
    cached: bool = Field(description="whether the adversarial images came from the cache")
    seconds: Seconds = Field(description="attack and evaluation together")
    defence: Line | None = Field(
        default=None, description='how the defence was attacked, such as "BPDA, EOT 10"; null without a defence'
    )
    queries: QueryCounts | None = Field(
        default=None, description="what a query attack asked; null for other attacks, and in older records"
    )


class WorstCase(Score):
    """Robust accuracy: an image counts only if it is right clean and under every attack of one norm."""

    norm: Line
    eps: Radius = Field(description="the largest radius among the attacks; smaller balls lie inside it")
    attacks: tuple[Line, ...] = Field(description="labels of the attacks taken together")


class CertifiedScore(Score):
    """Images for which a defence proves that no perturbation within a radius changes their class, which is right."""

    norm: Line
    eps: Radius = Field(description="the radius")


class DataRecord(Record):
    """The images a run used."""

    class_names: tuple[Line, ...] = Field(max_length=MOST_CLASSES)
    image_size: tuple[Count, Count] = Field(description="native height and width in pixels")
    train_fingerprint: Line | None = Field(description="SHA-256 of the training images and labels used")
    test_fingerprint: Line = Field(description="SHA-256 of the scored images and labels")
    train_counts: tuple[Count, ...] | None = Field(default=None, description="training images used of each class")
    test_counts: tuple[Images, ...] | None = Field(default=None, description="scored images of each class")
    notes: tuple[Text, ...] = Field(default=(), description="what the dataset says of its files, such as skipped ones")
    prompts: tuple[tuple[Text, ...], ...] | None = Field(
        default=None, description="prompts of each class; or one group for all, with {} for the class name"
    )
    labels: str | None = Field(
        default=None, description="labels of the scored images in order: 16-bit little-endian, deflated, base64"
    )

    @model_validator(mode="after")
    def _labels_match(self) -> DataRecord:
        n = sum(self.test_counts or ())
        if n > MOST_IMAGES:
            raise ValueError(f"test_counts are of {n:,} images; expected at most {MOST_IMAGES:,}")
        labels = self.scored_labels()
        if labels is not None:
            counts = np.bincount(labels, minlength=len(self.class_names)).tolist()
            if counts != list(self.test_counts or ()):
                raise ValueError(f"labels do not add up to test_counts={self.test_counts}")
        return self

    def scored_labels(self) -> NDArray[np.int64] | None:
        """Return the labels of the scored images, ``int64 (n,)``; None in older records, which lack them."""
        if self.labels is None or self.test_counts is None:
            return None
        return unpack_labels(self.labels, sum(self.test_counts))


class Evaluation(Record):
    """What the tuned network scores on another dataset."""

    dataset: ComponentSpec
    data: DataRecord
    clean: AnsweredScore
    attacks: tuple[AttackScore, ...] = Field(description="the run's attacks, in order, made on this dataset's images")
    worst_case: tuple[WorstCase, ...]


class TuningRecord(Record):
    """The network, and how the tuner changed it."""

    model_fingerprint: Line = Field(description="SHA-256 of the weights before tuning")
    tuned_fingerprint: Line = Field(description="SHA-256 of the weights after tuning")
    parameters: int = Field(ge=0, le=MOST_NUMBER, description="all parameters, after the tuner has added its own")
    trainable_parameters: int = Field(ge=0, le=MOST_NUMBER, description="parameters that the tuner may change")
    history: tuple[dict[Line, Logged], ...] = Field(description="one row an epoch")
    seconds: Seconds
    layers: dict[Line, Weights] = Field(default_factory=dict, description="parameters of each layer, in order")
    drawn_counts: tuple[Count, ...] | None = Field(
        default=None, description="images of each class that an epoch uses, if the tuner balances classes"
    )


class Check(Record):
    """The result of one check of the certificate."""

    name: Line = Field(description="what was checked")
    attack: Line = Field(description="label of the attack that was checked; empty for the network or the run")
    verdict: Verdict = Field(
        description="pass, warn, fail, or incomplete if it could not be made; skipped in older records"
    )
    reason: Text = Field(description="the figures behind the verdict")


class RunError(Record):
    """Why a run did not complete."""

    type: Line
    message: Text


class RunResult(Record):
    """One file under ``results/``."""

    schema_version: int = Field(default=SCHEMA, ge=1, le=SCHEMA)
    run_id: str = Field(
        pattern=r"^[0-9a-f]{12}(-[0-9]{1,9})?$", description="hash of the spec, -2 and so on for repeats"
    )
    status: Status
    error: RunError | None = None
    spec: RunSpec
    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: AnsweredScore | None = None
    attacks: tuple[AttackScore, ...] = ()
    worst_case: tuple[WorstCase, ...] = ()
    certified: tuple[CertifiedScore, ...] = Field(
        default=(), description="what the defence proves, radius by radius; empty without a proof"
    )
    corruptions: tuple[CorruptionRecord, ...] = Field(
        default=(), description="scores on corrupted images, component by component; empty if none were asked for"
    )
    elsewhere: tuple[Evaluation, ...] = Field(default=(), description="the same on the other datasets asked for")
    checks: tuple[Check, ...] = Field(default=(), description="the certificate; empty with --checks off")
    checked: Provenance | None = Field(
        default=None, description="software and hardware of the checks, if they were made after the run"
    )
    warnings: tuple[Text, ...] = ()
    seconds: dict[Line, Seconds] = Field(default_factory=dict, description="wall time of each stage, and total")
    provenance: Provenance

    def __str__(self) -> str:
        state = f"checks: {self.verdict or 'none'}" if self.error is None else self.error.message
        scores = [("clean", self.clean), *((score.label, score) for score in self.attacks)]
        lines = [f"  {name}: {100 * score.accuracy:.1f} % of {score.n:,} right" for name, score in scores if score]
        return "\n".join([f"run {self.run_id}, {self.status}, {state}", *lines])

    __repr__ = __str__  # a notebook shows this; the fields are in model_dump()

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of the certificate; None if nothing was checked.

        It is ``incomplete`` if a check was not made and none fails; a check that raised is called ``checks`` in older
        records.
        """
        found = {
            "incomplete" if check.verdict == "skipped" or check.name == "checks" else check.verdict
            for check in self.checks
        }
        worst: tuple[Verdict, ...] = ("fail", "incomplete", "warn", "pass")
        return next((each for each in worst if each in found), None)

    @property
    def checks_worst_first(self) -> tuple[Check, ...]:
        """The checks, those that need attention first."""
        order = ("fail", "incomplete", "skipped", "warn", "pass")
        return tuple(sorted(self.checks, key=lambda check: order.index(check.verdict)))

    @property
    def checks_summary(self) -> str:
        """How many checks pass, and which do not, as ``14 of 15 pass; warn: noise``; empty without checks."""
        names: dict[str, list[str]] = {}
        for check in self.checks_worst_first:
            names.setdefault(check.verdict, [])
            if check.name not in names[check.verdict]:
                names[check.verdict].append(check.name)
        passed = sum(check.verdict == "pass" for check in self.checks)
        parts = [f"{passed} of {len(self.checks)} pass"] if self.checks else []
        return "; ".join(
            parts + [f"{verdict}: {', '.join(which)}" for verdict, which in names.items() if verdict != "pass"]
        )

    @model_validator(mode="after")
    def _complete(self) -> RunResult:
        if self.status == "completed" and not (self.data and self.tuning and self.clean):
            raise ValueError("a completed run needs data, tuning and clean")
        if not self.run_id.startswith(self.spec.run_id()):
            raise ValueError(f"run_id {self.run_id} is not the hash of the spec, {self.spec.run_id()}")
        if wrong := next(chain(contradictions(self), misnamed(self)), None):
            raise ValueError(wrong)
        return self
