"""Add the validity certificate to a recorded run: make its tuned network again, see that it is the same, check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from robench.attack.adversary import Adversaries, admit, predictions
from robench.checks.certificate import NETWORK_CHECKS, SAMPLE, Level, certify
from robench.checks.verdict import Subject
from robench.compute.precision import ieee
from robench.contracts.context import RunContext
from robench.errors import DataError
from robench.networks.fast_functions import fast_functions
from robench.records.class_labels import pack_labels
from robench.records.record import DataRecord, RunResult
from robench.registry.registry import discover
from robench.run.data import load_split
from robench.run.plan import Plan
from robench.run.provenance import capture
from robench.run.stages import defended
from robench.run.tuning_stage import tune
from robench.storage.location import Location


@ieee()
@fast_functions()
def certified(
    plan: Plan,
    record: RunResult,
    *,
    device: torch.device,
    cache_dir: Location,
    level: Level,
    trained: Path | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> RunResult:
    """Return `record`, a completed run of `plan`, with the checks of `level` and what they were made with.

    The measured figures stay as they are.

    Args:
        trained: The adapter file of that run; without it the network is trained again.

    Raises:
        DataError: The images, the weights after tuning or the answers on clean images differ from the record, so the
            certificate would be that of another network.
    """
    spec, started = plan.spec, datetime.now(UTC)
    if record.data is None or record.tuning is None or record.clean is None:
        raise DataError(f"run {record.run_id} is {record.status}; only completed runs can be certified")
    compiled = record.provenance.compiled
    build = discover().build
    context = plan.context(plan.dataset.build(), device, cache_dir, warn=warn, compiled=compiled, component=build)
    test = load_split(context, spec.split, spec.test_size)
    _expect(record, "scored images", record.data.test_fingerprint, test.fingerprint())
    train = None
    if spec.train_size is not None and trained is None:
        train = load_split(context, "train", spec.train_size, shots=spec.shots)
        _expect(record, "training images", record.data.train_fingerprint, train.fingerprint())
    model = plan.model.build()
    network = model.build(context).to(device)
    admit(network, test, context)
    adversaries = Adversaries.of(context)
    tuned = tune(plan, context, adversaries, network, model.adaptable(network), train, trained=trained)
    _expect(record, "weights after tuning", record.tuning.tuned_fingerprint, tuned.tuned_fingerprint)
    network = defended(plan, network, test, context)
    predicted = predictions(network, test.images, context, "evaluation, clean")
    if ((predicted == test.labels) != record.clean.mask()).any():
        raise DataError(f"run {record.run_id}: the answers on clean images are not those of the record")
    subject = Subject(network=network, data=test.first(SAMPLE), context=context)
    tried = list(zip(plan.attacks, record.attacks, strict=True))
    checks = certify(subject, tried, predicted, test.labels, level)
    made = capture(plan, device, started, compiled=compiled)
    return record.model_copy(
        update={
            "checks": checks,
            "checked": made.model_copy(update={"command": f"robench certify {record.run_id} --checks {level}"}),
            "data": record.data.model_copy(update={"labels": pack_labels(test.labels)}),
            "elsewhere": tuple(
                found.model_copy(update={"data": _labelled(plan, number, context, found.data)})
                for number, found in enumerate(record.elsewhere)
            ),
        }
    )


def is_outdated(record: RunResult) -> bool:
    """Return whether the certificate is incomplete, or lacks a check of the network that is made today."""
    names = {check.name for check in record.checks}
    today = {check.__name__.replace("_", " ") for check in NETWORK_CHECKS}
    today -= {"batch neighbours"} if record.spec.defences else set()  # a random one cannot be compared so
    return record.verdict == "incomplete" or not today <= names


def _labelled(plan: Plan, number: int, context: RunContext, data: DataRecord) -> DataRecord:
    """Return `data`, which describes the images of another scored dataset, with their labels."""
    there = replace(context, dataset=plan.eval_datasets[number].build())
    test = load_split(there, plan.spec.split, plan.spec.scored(plan.spec.eval_datasets[number]))
    if test.fingerprint() != data.test_fingerprint:
        return data
    return data.model_copy(update={"labels": pack_labels(test.labels)})


def _expect(record: RunResult, what: str, then: str | None, now: str) -> None:
    if then != now:
        raise DataError(
            f"run {record.run_id}: its {what} were {then} and are {now} here; `robench reproduce {record.run_id}` "
            "shows how much that changes"
        )
