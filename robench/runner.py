"""One run, from a plan to its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robench.adversary import Adversaries, correctness
from robench.cache import AdversarialCache
from robench.data import ImageSet
from robench.interfaces import Model, Progress, RunContext, SplitName
from robench.perturbation import check_ball
from robench.provenance import capture
from robench.records import (
    AttackScore,
    ComponentSpec,
    DataRecord,
    Evaluation,
    RunError,
    RunResult,
    Score,
    Status,
    TuningRecord,
    WorstCase,
)
from robench.registry import Registry, ResolvedAttack
from robench.spec import Plan
from robench.tuning_stage import tune
from robench.types import format_pixels, parse_pixels


@dataclass
class _Findings:
    """What a run has measured so far, so that a failed or interrupted run keeps it."""

    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: Score | None = None
    attacks: list[AttackScore] = field(default_factory=list)
    worst_case: tuple[WorstCase, ...] = ()
    elsewhere: list[Evaluation] = field(default_factory=list)
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
    save_adapter: Path | None = None,
) -> RunResult:
    """Carry out `plan` and hand its record to `save`, also when it fails or is interrupted.

    Args:
        save_adapter: Where to write what was trained, to be loaded by ``--adapter`` later.

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
            _measure(plan, findings, device, cache_dir, lambda p: hooks.robench_run_progress(progress=p), save_adapter)
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
        "elsewhere": tuple(findings.elsewhere),
        "warnings": tuple(findings.warnings),
        "seconds": findings.seconds,
    }


def _measure(
    plan: Plan,
    findings: _Findings,
    device: torch.device,
    cache_dir: Path,
    report: Callable[[Progress], None],
    save_adapter: Path | None,
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
        train = _load(context, "train", spec.train_size) if spec.train_size else None
        test = _load(context, spec.split, spec.test_size)
        findings.data = _data_record(context, train, test)
    with findings.timed("model"):
        model = plan.model.build()
        network: nn.Module = model.build(context).to(device)
    adversaries = Adversaries(context, AdversarialCache(cache_dir, findings.warn))
    with findings.timed("tuning"):
        findings.tuning = tune(plan, context, adversaries, network, model.adaptable(network), train, save_adapter)
    with findings.timed("clean evaluation"):
        findings.clean = _clean(network, test, context)
    for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True):
        with findings.timed(f"attack {attack.label}"):
            findings.attacks.append(_attack(attack, network, test.first(attack_spec.n), context, adversaries))
    findings.worst_case = worst_cases(findings.clean, findings.attacks)
    for other, other_spec in zip(plan.eval_datasets, spec.eval_datasets, strict=True):
        with findings.timed(f"dataset {other_spec.label}"):
            there = replace(context, dataset=other.build(), dataset_name=other_spec.name)
            findings.elsewhere.append(_evaluate_elsewhere(plan, other_spec, model, network, there))


def _evaluate_elsewhere(
    plan: Plan, dataset: ComponentSpec, model: Model, network: nn.Module, context: RunContext
) -> Evaluation:
    """Score `network` on the images and classes of another dataset, under the run's attacks."""
    spec = plan.spec
    test = _load(context, spec.split, spec.test_size)
    bound = model.rebind(network, context).to(context.device)
    adversaries = Adversaries(context, AdversarialCache(context.cache_dir, context.warn))
    clean = _clean(bound, test, context)
    attacks = [
        _attack(attack, bound, test.first(attack_spec.n), context, adversaries)
        for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True)
    ]
    return Evaluation(
        dataset=dataset,
        data=_data_record(context, None, test),
        clean=clean,
        attacks=tuple(attacks),
        worst_case=worst_cases(clean, attacks),
    )


def _load(context: RunContext, split: SplitName, size: int) -> ImageSet:
    context.report(Progress(stage="data", done=0, total=size))
    data = context.dataset.split(split, size)
    data.check_labels(len(context.dataset.class_names))
    context.report(Progress(stage="data", done=size, total=size))
    return data


def _data_record(context: RunContext, train: ImageSet | None, test: ImageSet) -> DataRecord:
    return DataRecord(
        class_names=context.dataset.class_names,
        image_size=(test.images.shape[2], test.images.shape[3]),
        train_fingerprint=train.fingerprint() if train else None,
        test_fingerprint=test.fingerprint(),
    )


def _clean(network: nn.Module, test: ImageSet, context: RunContext) -> Score:
    return Score.of(correctness(network, test.images, test, context, "evaluation, clean"))


def _attack(
    attack: ResolvedAttack, network: nn.Module, test: ImageSet, context: RunContext, adversaries: Adversaries
) -> AttackScore:
    start = time.perf_counter()
    threat = attack.threat()
    attacked = adversaries.attacked(attack, network, test, "test")
    largest = check_ball(test.images, attacked.images, threat)
    correct = correctness(network, attacked.images, test, context, f"evaluation, {attack.label}")
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
