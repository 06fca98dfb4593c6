"""One run, from a plan to its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.adversary import Adversaries
from robench.cache import AdversarialCache
from robench.data import ImageSet
from robench.evaluate import fingerprint, predict
from robench.interfaces import Progress, RunContext
from robench.perturbation import check_ball, seeded
from robench.provenance import capture
from robench.records import (
    AttackScore,
    DataRecord,
    RunError,
    RunResult,
    RunSpec,
    Score,
    Status,
    TuningRecord,
    WorstCase,
)
from robench.registry import Registry, ResolvedAttack
from robench.spec import Plan
from robench.tuning import TuningTask
from robench.types import format_pixels, parse_pixels


@dataclass
class _Findings:
    """What a run has measured so far, so that a failed or interrupted run keeps it."""

    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: Score | None = None
    attacks: list[AttackScore] = field(default_factory=list)
    worst_case: tuple[WorstCase, ...] = ()
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 2)

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


def run(
    registry: Registry,
    plan: Plan,
    *,
    device: torch.device,
    cache_dir: Path,
    save: Callable[[RunResult], RunResult],
) -> RunResult:
    """Carry out `plan` and hand its record to `save`, also when it fails or is interrupted.

    Raises:
        RobenchError: The run failed for a reason the user or a plugin can mend; a record of it was saved.
        KeyboardInterrupt: Ctrl-C; a record was saved.
    """
    findings = _Findings()
    started = datetime.now(UTC)
    hooks = registry.manager.hook
    run_id = plan.spec.run_id()
    hooks.robench_run_started(spec=plan.spec, run_id=run_id)
    status: Status = "failed"
    error: RunError | None = None
    try:
        with findings.timed("total"):
            _measure(plan, findings, device, cache_dir, lambda p: hooks.robench_run_progress(progress=p))
        status = "completed"
    except KeyboardInterrupt:
        status, error = "interrupted", RunError(type="KeyboardInterrupt", message="interrupted by the user")
        raise
    except Exception as failure:
        error = RunError(type=type(failure).__name__, message=str(failure))
        raise
    finally:
        result = RunResult(
            run_id=run_id,
            status=status,
            error=error,
            spec=plan.spec,
            provenance=capture(plan.spec, plan.plugins(), device, started),
            **_fields(findings),
        )
        result = save(result)
        hooks.robench_run_finished(result=result)
    return result


def _fields(findings: _Findings) -> dict[str, Any]:
    return {
        "data": findings.data,
        "tuning": findings.tuning,
        "clean": findings.clean,
        "attacks": tuple(findings.attacks),
        "worst_case": findings.worst_case,
        "warnings": tuple(findings.warnings),
        "seconds": findings.seconds,
    }


def _measure(
    plan: Plan, findings: _Findings, device: torch.device, cache_dir: Path, report: Callable[[Progress], None]
) -> None:
    spec = plan.spec
    dataset = plan.dataset.build()
    context = RunContext(
        dataset=dataset,
        dataset_name=spec.dataset.name,
        device=device,
        seed=spec.seed,
        cache_dir=cache_dir,
        report=report,
        warn=findings.warn,
    )
    with findings.timed("data"):
        train, test = _load_data(spec, context)
        findings.data = DataRecord(
            class_names=dataset.class_names,
            image_size=(test.images.shape[2], test.images.shape[3]),
            train_fingerprint=train.fingerprint() if train else None,
            test_fingerprint=test.fingerprint(),
        )
    with findings.timed("model"):
        model = plan.model.build()
        network: nn.Module = model.build(context).to(device)
        before = fingerprint(network)
    adversaries = Adversaries(context, AdversarialCache(cache_dir, findings.warn))
    with findings.timed("tuning"):
        findings.tuning = _tune(plan, findings, context, adversaries, network, model.adaptable(network), train, before)
    with findings.timed("clean evaluation"):
        clean = _correct(network, test.images, test, context, "evaluation, clean")
        findings.clean = Score.of(clean)
    for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True):
        with findings.timed(f"attack {attack.label}"):
            findings.attacks.append(_attack(attack, network, test.first(attack_spec.n), context, adversaries))
    findings.worst_case = worst_cases(findings.clean, findings.attacks)


def _load_data(spec: RunSpec, context: RunContext) -> tuple[ImageSet | None, ImageSet]:
    dataset = context.dataset
    n_classes = len(dataset.class_names)
    total = (spec.train_size or 0) + spec.test_size
    context.report(Progress(stage="data", done=0, total=total))
    train = dataset.split("train", spec.train_size) if spec.train_size else None
    test = dataset.split(spec.split, spec.test_size)
    for data in (train, test):
        if data is not None:
            data.check_labels(n_classes)
    context.report(Progress(stage="data", done=total, total=total))
    return train, test


def _tune(
    plan: Plan,
    findings: _Findings,
    context: RunContext,
    adversaries: Adversaries,
    network: nn.Module,
    parts: Any,
    train: ImageSet | None,
    before: str,
) -> TuningRecord:
    tuner = plan.tuner.build()
    start = time.perf_counter()
    with seeded(context.stream("adapt"), context.device):
        tuner.adapt(network, parts)
    network.to(context.device)
    history: list[dict[str, float]] = []
    if train is not None:
        adversary = adversaries.for_training(plan.adversary, network, train) if plan.adversary else None
        with seeded(context.stream("tuning"), context.device):
            history = tuner.fit(TuningTask(network=network, train=train, adversary=adversary, context=context))
    parameters = list(network.parameters())
    return TuningRecord(
        model_fingerprint=before,
        tuned_fingerprint=fingerprint(network),
        parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        history=tuple(history),
        seconds=round(time.perf_counter() - start, 2),
    )


def _attack(
    attack: ResolvedAttack, network: nn.Module, test: ImageSet, context: RunContext, adversaries: Adversaries
) -> AttackScore:
    start = time.perf_counter()
    threat = attack.threat()
    attacked = adversaries.attacked(attack, network, test, "test")
    largest = check_ball(test.images, attacked.images, threat)
    correct = _correct(network, attacked.images, test, context, f"evaluation, {attack.label}")
    return AttackScore.of(
        correct,
        label=attack.label,
        norm=threat.norm,
        eps=format_pixels(threat.eps),
        knowledge=threat.knowledge,
        surrogate=attacked.surrogate,
        images=attacked.sha256[:16],
        largest_norm=largest,
        cached=attacked.cached,
        seconds=round(time.perf_counter() - start, 2),
    )


def _correct(
    network: nn.Module, images: NDArray[np.uint8], data: ImageSet, context: RunContext, stage: str
) -> NDArray[np.bool_]:
    predictions = predict(
        network,
        images,
        n_classes=len(context.dataset.class_names),
        device=context.device,
        report=context.report,
        stage=stage,
    )
    correct: NDArray[np.bool_] = predictions == data.labels
    return correct


def worst_cases(clean: Score, attacks: list[AttackScore]) -> tuple[WorstCase, ...]:
    """Combine attacks of one norm per example: an image counts only if clean and all attacked versions are right.

    A smaller ball lies inside a larger one of the same norm, so the result is a bound at the largest radius.
    It is taken over the images that all of those attacks were given.
    """
    found = []
    for norm, group in groupby(sorted(attacks, key=lambda a: a.norm), key=lambda a: a.norm):
        members = list(group)
        n = min(member.n for member in members)
        robust = clean.mask()[:n]
        for member in members:
            robust &= member.mask()[:n]
        largest = max(members, key=lambda member: Fraction(parse_pixels(member.eps)))
        found.append(WorstCase.of(robust, norm=norm, eps=largest.eps, attacks=tuple(m.label for m in members)))
    return tuple(found)
