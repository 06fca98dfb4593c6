"""The rules of a Tuner, and so of the adaptations and objectives it is made of."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from robench.attack.adversary import Adversaries, predictions
from robench.conformance.finding import Finding, rule
from robench.conformance.terms import check_terms
from robench.contracts.context import Progress, RunContext
from robench.contracts.tuning import Tuner
from robench.errors import PluginError
from robench.networks.evaluate import logits_of
from robench.records.record import TuningRecord
from robench.registry.registry import Registry
from robench.run.plan import Plan, Request, plan
from robench.run.tuning_stage import tune
from robench.storage.checkpoint import Checkpoint

CLOSE = 1e-4
"""Largest change of a logit that merging an adapter into the weights explains, relative to the largest logit."""


def check_tuner(registry: Registry, request: Request, context: RunContext) -> Iterator[Finding]:
    """Yield the rules ``parameters``, ``history``, ``learning``, ``again``, ``save and load``, ``resumed``, of
    products ``terms``, and ``without parts``.

    Args:
        request: A run of few images with the tuner.
    """
    planned = plan(registry, request)
    tuner: Tuner = planned.tuner.build()
    trains = tuner.trains
    file = context.cache_dir / "adapter.safetensors"
    record, logits = _tuned(planned, context, file)
    n = record.trainable_parameters
    yield rule("parameters", (n > 0) == trains, f"{n:,} can be trained, and its `trains` is {trains}")
    if trains:
        losses = [value for row in record.history for key, value in row.items() if "loss" in key]
        finite = bool(losses) and all(map(math.isfinite, losses))
        yield rule("history", finite, f"{len(record.history)} epochs, losses {', '.join(f'{x:.3g}' for x in losses)}")
        changed = record.tuned_fingerprint != record.model_fingerprint
        yield rule("learning", changed, "training changed the weights", "training left the weights unchanged")
    again, repeated = _tuned(planned, context, None)
    same = again.tuned_fingerprint == record.tuned_fingerprint and np.array_equal(logits, repeated)
    yield rule("again", same, f"the same seed gives {'the same' if same else 'different'} weights")
    if trains:
        stored = plan(registry, replace(request, adapter=str(file), epochs=None, model=None, tuner="none"))
        _, loaded = _tuned(stored, context, None)
        far = float(np.abs(loaded - logits).max() / np.abs(logits).max())
        yield rule("save and load", far < CLOSE, f"logits of the loaded adapter differ by {far:.1e} of the largest")
        yield _resumed(registry, request, context)
        if (terms := check_terms(planned, context)) is not None:
            yield terms
    yield _without_parts(planned.tuner.build())


def _resumed(registry: Registry, request: Request, context: RunContext) -> Finding:
    """Interrupt a training half-way, run it again, and compare it with one that was not interrupted."""
    planned = plan(registry, request)
    if "batch_size" in type(planned.tuner.params).model_fields:
        assert isinstance(request.train_size, int)
        planned = plan(registry, replace(request, batch_size=max(1, request.train_size // 4)))
    whole, _ = _tuned(planned, context, None)
    reports: list[Progress] = []

    def stop(progress: Progress) -> None:
        reports.append(progress)
        if progress.stage == "tuning" and 2 * progress.done > progress.total:
            raise _InterruptedError

    path = context.cache_dir / "checkpoint.pt"
    with contextlib.suppress(_InterruptedError):
        _tuned(planned, replace(context, report=stop), None, Checkpoint(path, {}, context.warn, seconds=0))
    kept = path.exists()
    again, _ = _tuned(planned, context, None, Checkpoint(path, {}, lambda message: None, seconds=0))
    same = again.tuned_fingerprint == whole.tuned_fingerprint and again.history == whole.history
    how = "continued from its checkpoint" if kept else "started again"
    return rule(
        "resumed", same, f"an interrupted training {how} and gave {'the same' if same else 'different'} weights"
    )


class _InterruptedError(Exception):
    """Raised in the middle of a training."""


def _tuned(
    planned: Plan, context: RunContext, save_to: Path | None, checkpoint: Checkpoint | None = None
) -> tuple[TuningRecord, np.ndarray]:
    """Tune a fresh network; return its record and its logits of the scored images."""
    spec, model = planned.spec, planned.model.build()
    network = model.build(context).to(context.device)
    train = context.dataset.split("train", spec.train_size) if spec.train_size else None
    test = context.dataset.split("test", spec.test_size)
    adversaries = Adversaries.of(context)
    parts = model.adaptable(network)
    record = tune(planned, context, adversaries, network, parts, train, save_to, checkpoint=checkpoint)
    predictions(network, test.images, context, "evaluation")  # raises an error for wrong shapes and NaN
    return record, logits_of(network, test.images, context.device)


def _without_parts(tuner: Tuner) -> Finding:
    """Offer a network without named parts, which must be adapted or refused with a PluginError."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    try:
        with torch.random.fork_rng():
            tuner.adapt(network, {})
    except PluginError as error:
        return rule("without parts", True, f"refused: {error}")
    except Exception as error:
        return rule("without parts", False, f"{type(error).__name__}: {error}; expected a PluginError")
    return rule("without parts", True, "adapted")
