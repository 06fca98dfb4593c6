"""The record of a run: what was asked, what was measured, and what it was measured with.

Every field is documented here and in ``docs/records.md``; ``SCHEMA`` grows when a field changes its meaning.
Results are counts with n, never rates, and per-example correctness is kept, so that paired tests stay possible.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from robench.compute.precision import DEFAULT, Level
from robench.records.packed import unpack_labels

SCHEMA = 1
Status = Literal["completed", "failed", "interrupted"]
Verdict = Literal["pass", "warn", "fail", "skipped"]


class Record(BaseModel):
    """Base of all parts of a record: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentSpec(Record):
    """One component with every parameter resolved."""

    name: str = Field(description="registered name")
    params: dict[str, Any] = Field(description="every parameter, defaults included except of those that came later")
    label: str = Field(description="short form: the name and the parameters that differ from its defaults")


class AttackSpec(ComponentSpec):
    """One attack with every parameter resolved."""

    surrogate: ComponentSpec | None = Field(description="the network gradients come from; null for the target")
    n: int = Field(gt=0, description="number of images attacked, the first n of the split")


class AdapterSpec(Record):
    """A saved adapter that was loaded in place of training."""

    sha256: str = Field(description="SHA-256 of the file, first 16 hex digits")
    path: str = Field(description="where it was; not part of the run's identity")


class RunSpec(Record):
    """What a run computes; its hash is the run's identity. Device and paths of results are not part of it."""

    dataset: ComponentSpec
    model: ComponentSpec
    tuner: ComponentSpec
    adversary: AttackSpec | None = Field(description="the attack that makes training examples; null for none")
    attacks: tuple[AttackSpec, ...] = Field(description="the attacks evaluated, in order")
    train_size: int | None = Field(description="training images the tuner sees; null if it does not train")
    split: Literal["test", "validation"] = Field(description="the split scored; choose settings on validation")
    test_size: int = Field(gt=0, description="images for clean accuracy, the first of that split")
    seed: int = Field(ge=0, description="seed of everything random in the run")
    eval_datasets: tuple[ComponentSpec, ...] = Field(
        default=(), description="other datasets the tuned network is scored on, with their own classes"
    )
    adapter: AdapterSpec | None = Field(default=None, description="the adapter loaded in place of training")
    precision: Level = Field(default=DEFAULT, description="what networks compute in; gpu.md has the levels")

    def run_id(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of the JSON without labels, paths and what the run lacks."""
        content = self.model_dump(mode="json")
        for part in _components(content):
            del part["label"]
        if content["adapter"]:
            del content["adapter"]["path"]
        absent: dict[str, Any] = {"eval_datasets": [], "adapter": None, "precision": DEFAULT}
        content = {key: value for key, value in content.items() if key not in absent or value != absent[key]}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _components(content: dict[str, Any]) -> list[dict[str, Any]]:
    attacks = [attack for attack in (content["adversary"], *content["attacks"]) if attack]
    surrogates = [attack["surrogate"] for attack in attacks if attack["surrogate"]]
    datasets = [content["dataset"], *content["eval_datasets"]]
    return [*datasets, content["model"], content["tuner"], *attacks, *surrogates]


class Score(Record):
    """How many of n images were classified correctly, and which."""

    n: int = Field(gt=0)
    correct: int = Field(ge=0)
    bits: str = Field(description="per-example correctness in test order, packed eight a byte, base64")

    @model_validator(mode="after")
    def _bits_match(self) -> Score:
        if int(self.mask().sum()) != self.correct:
            raise ValueError(f"bits do not add up to correct={self.correct} of n={self.n}")
        return self

    @classmethod
    def of(cls, correct: NDArray[np.bool_], **more: Any) -> Self:
        """Build a score from per-example correctness ``bool (N,)``."""
        bits = base64.b64encode(np.packbits(correct).tobytes()).decode()
        return cls(n=len(correct), correct=int(correct.sum()), bits=bits, **more)

    def mask(self) -> NDArray[np.bool_]:
        """Return per-example correctness, ``bool (N,)``."""
        packed = np.frombuffer(base64.b64decode(self.bits, validate=True), dtype=np.uint8)
        if len(packed) != -(-self.n // 8):
            raise ValueError(f"{len(packed)} bytes of bits cannot hold n={self.n}")
        return np.unpackbits(packed, count=self.n).astype(bool)

    @property
    def accuracy(self) -> float:
        """Accuracy as a fraction."""
        return self.correct / self.n


class SurrogateRecord(Record):
    """The network a transfer attack took its gradients from."""

    name: str
    fingerprint: str = Field(description="SHA-256 of its weights, first 16 hex digits")
    clean_correct: int = Field(description="clean images of the attacked set that it classifies correctly")
    adversarial_correct: int = Field(description="the same images after the attack on it")


class AttackScore(Score):
    """Accuracy on the adversarial images of one attack."""

    label: str = Field(description="short form of the attack")
    norm: str = Field(description="norm of the threat model")
    eps: str = Field(description='radius in [0, 1] pixel units, exact, such as "8/255"')
    knowledge: str = Field(description="what the attack sees: white-box, transfer, query, or nothing for a control")
    surrogate: SurrogateRecord | None
    images: str = Field(description="SHA-256 of the adversarial images evaluated, first 16 hex digits")
    largest_norm: float = Field(description="largest norm of a perturbation, in [0, 1] pixel units, as evaluated")
    cached: bool = Field(description="whether the adversarial images came from the cache")
    seconds: float = Field(description="attack and evaluation together")


class WorstCase(Score):
    """Robust accuracy: an image counts only if it is correct clean and under every attack of one norm."""

    norm: str
    eps: str = Field(description="the largest radius among the attacks; smaller balls lie inside it")
    attacks: tuple[str, ...] = Field(description="labels of the attacks taken together")


class DataRecord(Record):
    """The images a run used."""

    class_names: tuple[str, ...]
    image_size: tuple[int, int] = Field(description="native height and width in pixels")
    train_fingerprint: str | None = Field(description="SHA-256 of the training images and labels used")
    test_fingerprint: str = Field(description="SHA-256 of the scored images and labels")
    train_counts: tuple[int, ...] | None = Field(default=None, description="training images used of each class")
    test_counts: tuple[int, ...] | None = Field(default=None, description="scored images of each class")
    notes: tuple[str, ...] = Field(default=(), description="what the dataset says of its files, such as skipped ones")
    labels: str | None = Field(
        default=None, description="of the scored images in order: 16-bit little-endian, deflated, base64"
    )

    @model_validator(mode="after")
    def _labels_match(self) -> DataRecord:
        labels = self.scored_labels()
        if labels is not None:
            counts = np.bincount(labels, minlength=len(self.class_names)).tolist()
            if counts != list(self.test_counts or ()):
                raise ValueError(f"labels do not add up to test_counts={self.test_counts}")
        return self

    def scored_labels(self) -> NDArray[np.int64] | None:
        """Return the labels of the scored images, ``int64 (n,)``; None in records from before they were kept."""
        if self.labels is None or self.test_counts is None:
            return None
        return unpack_labels(self.labels, sum(self.test_counts))


class Evaluation(Record):
    """What the tuned network does on another dataset."""

    dataset: ComponentSpec
    data: DataRecord
    clean: Score
    attacks: tuple[AttackScore, ...] = Field(description="the run's attacks, in order, made on this dataset's images")
    worst_case: tuple[WorstCase, ...]


class TuningRecord(Record):
    """The network and what the tuner did to it."""

    model_fingerprint: str = Field(description="SHA-256 of the weights before tuning")
    tuned_fingerprint: str = Field(description="SHA-256 of the weights after tuning")
    parameters: int = Field(ge=0, lt=2**63, description="all parameters, after the tuner has added its own")
    trainable_parameters: int = Field(ge=0, lt=2**63, description="parameters the tuner may change")
    history: tuple[dict[str, float], ...] = Field(description="one row an epoch")
    seconds: float
    layers: dict[str, int] = Field(default_factory=dict, description="parameters of each layer, in order")
    drawn_counts: tuple[int, ...] | None = Field(
        default=None, description="images of each class that an epoch draws, where the tuner balances classes"
    )


class Provenance(Record):
    """The software and hardware a run used."""

    started: str = Field(description="UTC, ISO 8601")
    command: str = Field(description="the equivalent command line")
    versions: dict[str, str] = Field(description="distributions that decide the numbers, and Python")
    plugins: dict[str, str] = Field(description="which distribution and version each component came from")
    code: dict[str, str] = Field(
        default={}, description="SHA-256 (16 digits) of the Python files of robench and of each component's package"
    )
    device: str = Field(description="kind of the device, and its name or the processor's")
    threads: int = Field(description="CPU threads of torch")
    processes: int = Field(default=1, gt=0, description="processes that shared the run; the others are like this one")
    compiled: bool = Field(default=False, description="whether torch compiled networks while they were attacked")
    precision: dict[str, str] = Field(default={}, description="what each stage computed in, and whether TF32 was on")
    platform: str
    git: str | None = Field(description="commit of a source checkout, with '+dirty'; null for an installed package")


class Check(Record):
    """One piece of evidence for or against a figure."""

    name: str = Field(description="what was checked")
    attack: str = Field(description="label of the attack concerned; empty for the network or the run")
    verdict: Verdict = Field(description="pass, warn, fail, or skipped if it would have taken too long")
    reason: str = Field(description="the figures behind the verdict")


class RunError(Record):
    """Why a run did not complete."""

    type: str
    message: str


class RunResult(Record):
    """One file under ``results/``."""

    schema_version: int = Field(default=SCHEMA, ge=1, le=SCHEMA)
    run_id: str = Field(pattern=r"^[0-9a-f]{12}(-[0-9]+)?$", description="hash of the spec, -2 and so on for repeats")
    status: Status
    error: RunError | None = None
    spec: RunSpec
    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: Score | None = None
    attacks: tuple[AttackScore, ...] = ()
    worst_case: tuple[WorstCase, ...] = ()
    elsewhere: tuple[Evaluation, ...] = Field(default=(), description="the same on the other datasets asked for")
    checks: tuple[Check, ...] = Field(default=(), description="the validity certificate; empty where it was off")
    checked: Provenance | None = Field(
        default=None, description="software and hardware of the checks, if they were made after the run"
    )
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict, description="wall time of each stage, and total")
    provenance: Provenance

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of the certificate; None where nothing was checked."""
        found = {check.verdict for check in self.checks}
        worst: tuple[Verdict, ...] = ("fail", "warn", "pass")
        return next((each for each in worst if each in found), None)

    @model_validator(mode="after")
    def _complete(self) -> RunResult:
        if self.status == "completed" and not (self.data and self.tuning and self.clean):
            raise ValueError("a completed run needs data, tuning and clean")
        if not self.run_id.startswith(self.spec.run_id()):
            raise ValueError(f"run_id {self.run_id} is not the hash of the spec, {self.spec.run_id()}")
        return self
