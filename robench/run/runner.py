"""One run, from a plan to its record."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.attack.adversary import Adversaries, predictions
from robench.attack.perturbation import check_ball
from robench.checks.certificate import SAMPLE, Level, certify
from robench.checks.verdict import Subject
from robench.compute.fast_functions import fast_functions
from robench.compute.precision import ieee, precision_on
from robench.compute.software import software
from robench.compute.world import ALONE, World
from robench.contracts.context import Progress, RunContext
from robench.contracts.model import Model
from robench.contracts.types import format_pixels
from robench.images.image_set import ImageSet
from robench.networks.evaluate import logits_of
from robench.networks.memory import keep_freed_memory
from robench.records.record import AttackScore, ComponentSpec, Evaluation, RunError, RunResult, Score, Status
from robench.records.samples import AttackSamples, Samples, choose
from robench.registry.discovery import plugin_manager
from robench.registry.registry import Registry
from robench.registry.resolved import ResolvedAttack
from robench.run.data import data_record, load_split
from robench.run.dataset_cache import DatasetCache
from robench.run.findings import Findings
from robench.run.hooks import call_hook
from robench.run.plan import Plan
from robench.run.provenance import capture
from robench.run.samples import take_samples
from robench.run.tuning_stage import tune
from robench.statistics.worst_case import worst_cases
from robench.storage.checkpoint import Checkpoint
from robench.storage.location import Location, local_folder, shared_folder


@ieee()
@fast_functions()
def run(
    registry: Registry,
    plan: Plan,
    *,
    device: torch.device,
    cache_dir: Location,
    save: Callable[[RunResult], RunResult],
    keep: Callable[[str, Samples], None] = lambda run_id, samples: None,
    save_adapter: Path | None = None,
    checks: Level = "off",
    world: World = ALONE,
    dataset_cache: DatasetCache | None = None,
    compiled: bool = False,
) -> RunResult:
    """Carry out `plan` and hand its record to `save`, also when it fails or is interrupted.

    Args:
        cache_dir: For adversarial sets, trained surrogates and unfinished trainings; may be emptied at any time.
        save: Returns the record as it is saved, or another of the same run that somebody saved before.
        keep: Called with the saved record's name and sample images once the run is complete.
        save_adapter: Where to write what was trained, to be loaded by ``--adapter`` later.
        checks: How thoroughly to look for signs that the figures cannot be believed; no part of the run's identity.
        world: The processes that share the run. Only the main one tells plugins of it, saves and keeps.
        dataset_cache: Images that an earlier run of this process has loaded.
        compiled: Whether networks are compiled for as long as they are attacked; no part of the run's identity.

    Raises:
        RobenchError: The run failed for a reason the user or a plugin can mend; a record of it was saved.
        KeyboardInterrupt: Ctrl-C; a record was saved.
    """
    keep_freed_memory()
    findings = Findings()
    started = datetime.now(UTC)
    hooks = (registry.manager if world.is_main else plugin_manager()).hook
    run_id = plan.spec.run_id()
    checkpoint = Checkpoint(
        local_folder(cache_dir) / "checkpoints" / f"{run_id}.pt",
        {"run": run_id, **software(device, world.size)},
        findings.warn,
        shared=shared_folder(cache_dir),
    )
    call_hook(hooks.robench_run_started, findings.warn, spec=plan.spec, run_id=run_id)
    status: Status = "failed"
    error: RunError | None = None
    try:
        with findings.timed("total"), world.together():
            report = lambda progress: call_hook(hooks.robench_run_progress, findings.warn, progress=progress)  # noqa: E731
            held = dataset_cache or DatasetCache()
            _measure(plan, findings, device, cache_dir, report, save_adapter, checks, checkpoint, world, held, compiled)
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
            provenance=capture(plan, device, started, processes=world.size, compiled=compiled),
            **findings.fields(),
        )
        saved = save(result) if world.is_main else result
        ours = saved == result.model_copy(update={"run_id": saved.run_id})
        result = saved
        if status == "completed" and world.is_main:
            checkpoint.remove()
        call_hook(hooks.robench_run_finished, warnings.warn, result=result)
    if findings.samples is not None and ours:
        keep(result.run_id, findings.samples)
    return result


def _measure(
    plan: Plan,
    findings: Findings,
    device: torch.device,
    cache_dir: Location,
    report: Callable[[Progress], None],
    save_adapter: Path | None,
    checks: Level,
    checkpoint: Checkpoint,
    world: World,
    dataset_cache: DatasetCache,
    compiled: bool,
) -> None:
    spec = plan.spec
    dataset = dataset_cache.dataset(plan.dataset)
    context = RunContext(
        dataset=dataset,
        dataset_name=spec.dataset.name,
        device=device,
        seed=spec.seed,
        cache_dir=local_folder(cache_dir),
        report=report,
        warn=findings.warn,
        world=world,
        precision=precision_on(spec.precision, device),
        shared=shared_folder(cache_dir),
        compiled=compiled,
    )
    with findings.timed("data"):
        train = load_split(context, "train", spec.train_size, dataset_cache) if spec.train_size else None
        test = load_split(context, spec.split, spec.test_size, dataset_cache)
        findings.data = data_record(context, train, test)
        world.same(f"{findings.data.train_fingerprint} {findings.data.test_fingerprint}", "the images")
    with findings.timed("model"):
        model = plan.model.build()
        network: nn.Module = model.build(context).to(device)
    adversaries = Adversaries.of(context)
    with findings.timed("tuning"):
        parts = model.adaptable(network)
        findings.tuning = tune(
            plan, context, adversaries, network, parts, train, save_to=save_adapter, checkpoint=checkpoint
        )
    with findings.timed("clean evaluation"):
        predicted = predictions(network, test.images, context, "evaluation, clean")
        findings.clean = Score.of(predicted == test.labels)
    shown = choose(test.labels, min((attack.n for attack in spec.attacks), default=len(test)))
    attacked: list[AttackSamples] = []
    for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True):
        with findings.timed(f"attack {attack.label}"):
            score, sample = _attack(attack, network, test.first(attack_spec.n), context, adversaries, shown)
            findings.attacks.append(score)
            attacked.append(sample)
    findings.worst_case = worst_cases(findings.clean, findings.attacks)
    with findings.timed("checks"):
        subject = Subject(network=network, data=test.first(SAMPLE), context=context)
        tried = list(zip(plan.attacks, findings.attacks, strict=True))
        findings.checks = certify(subject, tried, predicted, test.labels, checks if world.is_main else "off")
    for other, other_spec in zip(plan.eval_datasets, spec.eval_datasets, strict=True):
        with findings.timed(f"dataset {other_spec.label}"):
            there = replace(context, dataset=other.build(), dataset_name=other_spec.name)
            findings.elsewhere.append(_evaluate_elsewhere(plan, other_spec, model, network, there))
    if world.is_main:
        findings.samples = take_samples(plan, context, network, train, test, shown, predicted, attacked)
    for message in (message for heard in world.gather(findings.warnings) for message in heard):
        findings.warn(message)


def _evaluate_elsewhere(
    plan: Plan, dataset: ComponentSpec, model: Model, network: nn.Module, context: RunContext
) -> Evaluation:
    """Score `network` on the images and classes of another dataset, under the run's attacks."""
    spec = plan.spec
    test = load_split(context, spec.split, spec.test_size)
    bound = model.rebind(network, context).to(context.device)
    adversaries = Adversaries.of(context)
    clean = Score.of(predictions(bound, test.images, context, "evaluation, clean") == test.labels)
    none = np.empty(0, dtype=np.int64)
    attacks = [
        _attack(attack, bound, test.first(attack_spec.n), context, adversaries, none)[0]
        for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True)
    ]
    return Evaluation(
        dataset=dataset,
        data=data_record(context, None, test),
        clean=clean,
        attacks=tuple(attacks),
        worst_case=worst_cases(clean, attacks),
    )


def _attack(
    attack: ResolvedAttack,
    network: nn.Module,
    test: ImageSet,
    context: RunContext,
    adversaries: Adversaries,
    shown: NDArray[np.int64],
) -> tuple[AttackScore, AttackSamples]:
    start = time.perf_counter()
    threat = attack.threat()
    attacked = adversaries.attacked(attack, network, test, "test")
    largest = check_ball(test.images, attacked.images, threat)
    predicted = predictions(network, attacked.images, context, f"evaluation, {attack.label}")
    images = attacked.images[shown]
    sample = AttackSamples(
        label=attack.label,
        images=images,
        logits=logits_of(network, images, context.device, context.precision.evaluation)
        if len(images)
        else np.empty((0, 0), dtype=np.float32),
        predictions=predicted,
    )
    score = AttackScore.of(
        predicted == test.labels,
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
    return score, sample
