"""The tuning stage of a run: adapt the network, then train it or load a saved adapter."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from robench.attack.adversary import Adversaries
from robench.attack.perturbation import seeded
from robench.contracts.context import RunContext
from robench.contracts.setting import TuningSetting
from robench.contracts.tuning import Tuner, TuningTask
from robench.errors import DataError, PluginError
from robench.images.image_set import ImageSet
from robench.networks.evaluate import fingerprint, logits_of
from robench.networks.layers import parameters_by_layer
from robench.records.labels import tuner_label
from robench.records.record import TuningRecord
from robench.run.data import class_counts
from robench.run.plan import Plan
from robench.run.requested_tuner import check_adapter
from robench.storage.checkpoint import Checkpoint
from robench.train.adapters import changing, load_adapter, read_adapter, save_adapter


def tune(
    plan: Plan,
    context: RunContext,
    adversaries: Adversaries,
    network: nn.Module,
    parts: Mapping[str, nn.Module],
    train: ImageSet | None,
    save_to: Path | None = None,
    trained: Path | None = None,
    checkpoint: Checkpoint | None = None,
) -> TuningRecord:
    """Tune `network` in place, and describe what was done.

    Args:
        parts: The parts of the network that may be adapted, by name.
        train: The training images; None if nothing is trained.
        save_to: Where to write what was trained.
        trained: An adapter file to load in place of training; by default the one that the plan names.
        checkpoint: Keeps what an interrupted training needs to go on.

    Raises:
        DataError: The adapter was trained on other weights, or cannot be saved.
    """
    tuner: Tuner = plan.tuner.build()
    trained = Path(plan.spec.adapter.path) if plan.spec.adapter else trained
    start, world = time.perf_counter(), context.world
    before = fingerprint(network)
    world.same(before, "the weights of the model")
    setting = TuningSetting(network=network, parts=parts, model=plan.model.build(), context=context, fingerprint=before)
    with seeded(context.stream("adapt"), context.device):
        tuner.set_up(setting)
        tuner.adapt(network, parts)
    network.to(context.device)
    world.copy_main(tensor for _, tensor in changing(network))
    trainable = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    history: list[dict[str, float]] = []
    if train is not None:
        if checkpoint is not None:
            checkpoint.identity |= {"model": before, "images": train.fingerprint()}
        attack = plan.adversary
        with seeded(context.stream("tuning"), context.device):
            task = TuningTask(
                network=network,
                train=train,
                adversary=adversaries.for_training(attack, network, train) if attack else None,
                context=context,
                white_box=attack is not None and attack.surrogate is None,
                validate=_validation(plan, context, adversaries, network),
                checkpoint=checkpoint,
            )
            history = _finite(tuner.fit(task), plan.spec.tuner.label)
        # A tuner with a training loop of its own ran it in each process, and the results may differ by rounding.
        world.copy_main(tensor for _, tensor in changing(network))
    elif trained is not None:
        state, made_with = read_adapter(trained)
        if unknown := check_adapter(trained, context.dataset):
            context.warn(unknown)
        if made_with["model_fingerprint"] != before:
            raise DataError(f"adapter {trained} was trained on other weights of {made_with['model']}; load those")
        load_adapter(network, state)
    if save_to is not None and world.is_main:
        spec = plan.spec
        made_with = {"tuner": tuner_label(spec), "model": spec.model.label, "model_fingerprint": before}
        made_with["class_names"] = json.dumps(context.dataset.class_names)
        save_adapter(save_to, network, {**made_with, "run_id": spec.run_id()})
    tuner.settle(network)
    after = fingerprint(network)
    world.same(after, "the weights after tuning")
    return TuningRecord(
        model_fingerprint=before,
        tuned_fingerprint=after,
        parameters=sum(weight.numel() for weight in network.parameters()),
        trainable_parameters=trainable,
        history=tuple(history),
        layers=parameters_by_layer(network),
        drawn_counts=None if train is None else tuner.drawn(class_counts(train, context.dataset)),
        seconds=round(time.perf_counter() - start, 2),
    )


def _finite(history: list[dict[str, float]], tuner: str) -> list[dict[str, float]]:
    """Return `history`.

    Raises:
        PluginError: A value is NaN or infinite, which a record cannot hold.
    """
    for epoch, row in enumerate(history, 1):
        for key, value in row.items():
            if not math.isfinite(value):
                raise PluginError(f"tuner {tuner}: {key} is {value} after epoch {epoch}; expected a finite number")
    return history


def _validation(
    plan: Plan, context: RunContext, adversaries: Adversaries, network: nn.Module
) -> Callable[[int], dict[str, float]]:
    """Return what scores `network` on the first n validation images, as :class:`TuningTask` describes it."""

    @cache
    def images(n: int) -> ImageSet:
        return context.dataset.split("validation", min(n, context.dataset.size("validation")))

    def validate(n: int) -> dict[str, float]:
        data = images(n)
        shown = {"validation_clean": data.images}
        if plan.adversary is not None:
            attacked = adversaries.attacked(plan.adversary, network, data, "validation")
            shown["validation_adversarial"] = attacked.images
        scores, loss = {}, 0.0
        for name, pixels in shown.items():
            logits = logits_of(network, pixels, context.device, context.precision.evaluation, context.world)
            scores[name] = float((logits.argmax(axis=1) == data.labels).mean())
            # The last loss is kept: that of the adversarial images if there are any.
            loss = float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(data.labels)))
        return {"validation_loss": loss, **scores}

    return validate
