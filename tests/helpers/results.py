"""Records made by hand for tests of the store, the leaderboard and its tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from robench.records.class_labels import pack_labels
from robench.records.labels import command_of
from robench.records.query_counts import QueryCounts
from robench.records.record import (
    AnsweredScore,
    AttackScore,
    AttackSpec,
    ComponentSpec,
    DataRecord,
    Provenance,
    RunResult,
    RunSpec,
    Status,
    SurrogateRecord,
    TuningRecord,
)
from robench.records.samples import AttackSamples, Samples
from robench.statistics.worst_case import worst_cases

CLASS_NAMES = ("class_0", "class_1", "class_2", "class_3")
HISTORY = tuple(
    {
        "epoch": epoch,
        "loss": 1 / epoch,
        "lr": 1e-3,
        "validation_loss": 2 / epoch,
        "validation_clean": 0.4 * epoch,
        "validation_adversarial": 0.3 * epoch,
    }
    for epoch in (1, 2)
)


def samples(
    *,
    n: int = 100,
    side: int = 8,
    temperature: float | None = 10.0,
    labels: Sequence[str] = ("pgd-resnet20", "pgd"),
) -> Samples:
    """Four classes in turn; clean images are right by a logit of 3, attacked ones taken for the next by 1."""
    random = np.random.default_rng(0)
    k = len(CLASS_NAMES)
    classes = np.arange(n) % k
    clean = random.integers(40, 200, (k, 3, side, side), dtype=np.uint8)
    noise = random.integers(-8, 9, clean.shape)
    return Samples(
        labels=classes,
        indices=np.arange(k),
        clean=clean,
        logits=3 * np.eye(k, dtype=np.float32),
        predictions=np.where(np.arange(n) % 10 == 0, (classes + 1) % k, classes),
        attacks=tuple(
            AttackSamples(
                label=label,
                images=(clean + noise).astype(np.uint8),
                logits=np.roll(np.eye(k, dtype=np.float32), 1, axis=1),
                predictions=(classes + 1) % k,
            )
            for label in labels
        ),
        temperature=temperature,
    )


def bits(correct: int, n: int) -> np.ndarray:
    return np.arange(n) < correct


def attack_spec(label: str, n: int) -> AttackSpec:
    name, _, surrogate = label.partition(":")[0].partition("-")
    model = ComponentSpec(name=surrogate, params={}, label=surrogate) if surrogate else None
    typed = dict(item.split("=") for item in label.partition(":")[2].split(",") if item)
    return AttackSpec(name=name, params={"eps": "8/255", **typed}, label=label, surrogate=model, n=n)


def attack_score(label: str, correct: int, n: int, surrogate_weights: str) -> AttackScore:
    transfer = "-" in label
    surrogate = SurrogateRecord(
        name=label.partition("-")[2], fingerprint=surrogate_weights, clean_correct=n, adversarial_correct=0
    )
    return AttackScore.of(
        bits(correct, n),
        label=label,
        norm="Linf",
        eps=label.partition("eps=")[2] or "8/255",
        knowledge="nothing" if label == "noise" else "transfer" if transfer else "white-box",
        surrogate=surrogate if transfer else None,
        images="00",
        largest_norm=8 / 255,
        cached=transfer,
        seconds=1.0,
    )


def result(
    *,
    tuner: str = "none",
    clean: int = 90,
    attacks: Sequence[tuple[str, int, int]] = (("pgd-resnet20", 50, 100), ("pgd", 0, 100)),
    n: int = 100,
    seed: int = 0,
    status: Status = "completed",
    started: str = "2026-01-01T00:00:00+00:00",
    test_images: str = "abcd" * 4,
    surrogate_weights: str = "w" * 16,
    trainable: int = 0,
    history: bool = False,
) -> RunResult:
    spec = RunSpec(
        dataset=ComponentSpec(name="leaf-synth", params={}, label="leaf-synth"),
        model=ComponentSpec(name="clip-tiny", params={}, label="clip-tiny"),
        tuner=ComponentSpec(name=tuner.partition(":")[0], params={"tuner": tuner}, label=tuner),
        adversary=None,
        attacks=tuple(attack_spec(label, size) for label, _, size in attacks),
        train_size=None,
        split="test",
        test_size=n,
        seed=seed,
    )
    clean_score = AnsweredScore.of(bits(clean, n))
    scores = [attack_score(label, correct, size, surrogate_weights) for label, correct, size in attacks]
    return RunResult(
        run_id=spec.run_id(),
        status=status,
        spec=spec,
        data=DataRecord(
            class_names=CLASS_NAMES,
            image_size=(32, 32),
            train_fingerprint=None,
            test_fingerprint=test_images,
            test_counts=tuple(np.bincount(np.arange(n) % 4, minlength=4).tolist()),
            labels=pack_labels(np.arange(n) % 4),
        ),
        tuning=TuningRecord(
            model_fingerprint="00",
            tuned_fingerprint="00",
            parameters=1000,
            trainable_parameters=trainable,
            history=HISTORY if history else (),
            seconds=1.0,
        ),
        clean=clean_score,
        attacks=tuple(scores),
        worst_case=worst_cases(clean_score, scores),
        seconds={"total": 10.0},
        provenance=Provenance(
            started=started,
            command=command_of(spec),
            versions={},
            plugins={},
            device="cpu",
            threads=1,
            platform="test",
            git=None,
        ),
    )


def asked(seed: int = 0, *, budget: int | None = 500, at: int = 40, counted: bool = True, n: int = 100) -> RunResult:
    """Return a run of a query attack that leaves 10 of `n` images right; 10 were wrong before, the others fell `at`."""
    record = result(attacks=[("square", 10, n), ("pgd", 0, n)], n=n, clean=n - 10, seed=seed)
    square = record.attacks[0]
    fell = np.full(n, at)
    fell[: square.correct], fell[n - 10 :] = -1, 0
    counts = QueryCounts.of(np.where(fell < 0, 500, fell), fell, budget)
    square = square.model_copy(update={"knowledge": "query", "queries": counts if counted else None})
    return record.model_copy(update={"attacks": (square, record.attacks[1])})
