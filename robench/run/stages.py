"""The stages of a run in order: data, model, tuning, clean evaluation, attacks, checks, other datasets."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from robench.attack.adversary import Adversaries, admit, answers
from robench.attack.perturbation import check_ball
from robench.attack.queries import NEVER, Asked
from robench.checks.certificate import SAMPLE, Level, certify
from robench.checks.verdict import Subject
from robench.contracts.context import RunContext
from robench.contracts.model import Model
from robench.images.image_set import ImageSet
from robench.networks.defended import Defended
from robench.networks.evaluate import logits_of
from robench.records.confidences import AnsweredScore, pack_confidences
from robench.records.record import AttackScore, ComponentSpec, Evaluation, QueryCounts, Score, ScoredSpec
from robench.records.samples import AttackSamples, choose
from robench.registry.resolved import ResolvedAttack
from robench.run.corrupting import corruption_record
from robench.run.data import data_record, leak, load_split
from robench.run.dataset_cache import DatasetCache
from robench.run.defences import behind
from robench.run.findings import Findings
from robench.run.plan import Plan
from robench.run.proofs import certified_scores
from robench.run.samples import take_samples
from robench.run.saved_images import SavedImages
from robench.run.specs import attacked_as
from robench.run.tuning_stage import tune
from robench.statistics.worst_case import worst_cases
from robench.storage.checkpoint import Checkpoint


def measure(
    plan: Plan,
    context: RunContext,
    findings: Findings,
    *,
    dataset_cache: DatasetCache,
    checkpoint: Checkpoint,
    save_adapter: Path | None,
    save_images: Path | None,
    checks: Level,
) -> None:
    """Carry out all stages of `plan`, and put what they measure into `findings`, stage by stage.

    Args:
        save_adapter: Where to write what was trained.
        save_images: Where to write the scored images.
        checks: How thoroughly the figures are checked.
    """
    spec, world, model = plan.spec, context.world, plan.model.build()
    with findings.timed("data"):
        train = load_split(context, "train", spec.train_size, dataset_cache, spec.shots) if spec.train_size else None
        test = load_split(context, spec.split, spec.test_size, dataset_cache)
        findings.data = data_record(context, model, train, test)
        if train is not None and (leaked := leak(train, test, spec.split)):
            findings.warn(leaked)
        world.same(f"{findings.data.train_fingerprint} {findings.data.test_fingerprint}", "the images")
    with findings.timed("model"):
        network: nn.Module = model.build(context).to(context.device)
        admit(network, test, context)
        defended(plan, network, test, context)  # what does not fit is refused before anything is trained
    adversaries = Adversaries.of(context)
    with findings.timed("tuning"):
        parts = model.adaptable(network)
        findings.tuning = tune(plan, context, adversaries, network, parts, train, save_adapter, checkpoint=checkpoint)
    tuned, network = network, defended(plan, network, test, context)
    with findings.timed("clean evaluation"):
        findings.clean, predicted = _score(network, test.images, test, context, "evaluation, clean")
        clean = findings.clean
    saved = None if save_images is None or not world.is_main else SavedImages(save_images, context.dataset.class_names)
    if saved is not None:
        saved.add("clean", test.images, test, predicted)
    shown = choose(test.labels, min((attack.n for attack in spec.attacks), default=len(test)))
    samples: list[AttackSamples] = []
    for attack, attack_spec in zip(plan.attacks, spec.attacks, strict=True):
        with findings.timed(f"attack {attack.label}"):
            attacked = test.first(attack_spec.n)
            score, images, found = _score_attack(plan, attack, network, attacked, context, adversaries, clean)
            findings.attacks.append(score)
            if saved is not None:
                saved.add(attack.label, images, attacked, found)
            logits = logits_of(network, images[shown], context.device, context.precision.evaluation)
            samples.append(AttackSamples(label=attack.label, images=images[shown], logits=logits, predictions=found))
    findings.worst_case = worst_cases(findings.clean, findings.attacks)
    if isinstance(network, Defended):
        with findings.timed("certified accuracy"):
            findings.certified = certified_scores(network, test, context)
    for part, asked in zip(plan.corruptions, spec.corruptions, strict=True):
        with findings.timed(f"corruption {asked.label}"):
            few = test.first(spec.scored(asked))
            findings.corruptions.append(corruption_record(part.build(), asked.label, network, few, context))
    with findings.timed("checks"):
        subject = Subject(network=network, data=test.first(SAMPLE), context=context)
        tried = list(zip(plan.attacks, findings.attacks, strict=True))
        findings.checks = certify(subject, tried, predicted, test.labels, checks if world.is_main else "off")
    for other, other_spec in zip(plan.eval_datasets, spec.eval_datasets, strict=True):
        with findings.timed(f"dataset {other_spec.label}"):
            there = replace(context, dataset=other.build(), dataset_name=other_spec.name)
            findings.elsewhere.append(_evaluate_elsewhere(plan, other_spec, model, tuned, there, context))
    if world.is_main:
        findings.samples = take_samples(plan, context, network, train, test, shown, predicted, samples)
    for warnings in world.gather(findings.warnings):
        for message in warnings:
            findings.warn(message)


def _evaluate_elsewhere(
    plan: Plan, dataset: ScoredSpec, model: Model, network: nn.Module, context: RunContext, home: RunContext
) -> Evaluation:
    """Score `network` on the images and classes of another dataset, under the run's attacks.

    A network that knows no classes but those of `home`, the run's own, is scored as it is where they are the same.
    """
    spec = plan.spec
    test = load_split(context, spec.split, spec.scored(dataset))
    same = tuple(context.dataset.class_names) == tuple(home.dataset.class_names)
    closed = type(model).rebind is Model.rebind
    bound = network if closed and same else model.rebind(network, context).to(context.device)
    admit(bound, test, context)
    bound = defended(plan, bound, test, context)
    adversaries = Adversaries.of(context)
    clean, _ = _score(bound, test.images, test, context, "evaluation, clean")
    attacks = [
        _score_attack(plan, attack, bound, test.first(spec.attacked(each, len(test))), context, adversaries, clean)[0]
        for attack, each in zip(plan.attacks, spec.attacks, strict=True)
    ]
    return Evaluation(
        dataset=ComponentSpec(name=dataset.name, params=dataset.params, label=dataset.label),
        data=data_record(context, model, None, test),
        clean=clean,
        attacks=tuple(attacks),
        worst_case=worst_cases(clean, attacks),
    )


def defended(plan: Plan, network: nn.Module, test: ImageSet, context: RunContext) -> nn.Module:
    """Return `network` behind the defences of `plan`, or as it is without one.

    Raises:
        PluginError: A defence does not fit the network, or what it returns are no logits.
    """
    found = behind(plan.defences, network, plan.model.build(), context)
    if found is not network:
        admit(found, test, context)
    return found


def _score(
    network: nn.Module, images: NDArray[np.uint8], data: ImageSet, context: RunContext, stage: str
) -> tuple[AnsweredScore, NDArray[np.int64]]:
    """Return the score of `network` on versions of the images of `data`, and the predicted classes."""
    found = answers(network, images, data, context, stage)
    packed = pack_confidences(found.confidence, found.nll, found.brier)
    return AnsweredScore.of(found.predictions == data.labels, confidences=packed), found.predictions


def _score_attack(
    plan: Plan,
    attack: ResolvedAttack,
    network: nn.Module,
    test: ImageSet,
    context: RunContext,
    adversaries: Adversaries,
    clean: Score,
) -> tuple[AttackScore, NDArray[np.uint8], NDArray[np.int64]]:
    """Return the score of `network` under an attack, the adversarial images, and the predicted classes."""
    start = time.perf_counter()
    threat = attack.threat()
    attacked = adversaries.attacked(attack, network, test, "test")
    largest = check_ball(test.images, attacked.images, threat)
    scored, predicted = _score(network, attacked.images, test, context, f"evaluation, {attack.label}")
    score = AttackScore(
        **dict(scored),
        label=attack.label,
        norm=threat.norm,
        eps=threat.written,
        knowledge=threat.knowledge,
        surrogate=attacked.surrogate,
        images=attacked.sha256[:16],
        largest_norm=largest,
        cached=attacked.cached,
        seconds=round(time.perf_counter() - start, 2),
        defence=attacked_as(attack, plan.defences),
        queries=_counts(attacked.asked, threat.queries, predicted == test.labels, clean.mask()[: len(test)]),
    )
    return score, attacked.images, predicted


def _counts(
    asked: Asked | None, budget: int | None, right: NDArray[np.bool_], right_clean: NDArray[np.bool_]
) -> QueryCounts | None:
    """Return what was asked as a record keeps it, so that it fits which images are `right` in the end.

    An image that is wrong but fell to no query, such as a last one that was not asked about, counts as fallen with the
    last query. One that was wrong before any query fell at 0.
    """
    if asked is None:
        return None
    fell = np.where(asked.fell == NEVER, asked.asked, asked.fell)
    return QueryCounts.of(asked.asked, np.where(right, NEVER, np.where(right_clean, fell, 0)), budget)
