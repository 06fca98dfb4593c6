"""CLIP_benchmark's result files: one model on one dataset, accuracies as fractions.

Source: ``run`` and ``main_build`` in clip_benchmark/cli.py, and ``evaluate`` in metrics/zeroshot_classification.py, of
https://github.com/LAION-AI/CLIP_benchmark. Extra keys are allowed: ``clip_benchmark build`` makes a column of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robench.contracts.model import Model
from robench.errors import DataError, SpecError
from robench.exchange.document import Document, part
from robench.exchange.published import Reference, percent
from robench.records.measurement import Measured, measurements
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.statistics.intervals import by_class

TITLE = "CLIP_benchmark"
FIGURES: tuple[str, ...] = ("dataset", "task", "metrics")
ZERO_SHOT, TUNED = "zeroshot_classification", "finetuned_classification"


def require(record: RunResult, registry: Registry) -> None:
    """Refuse a model that does not take its classes from text.

    Raises:
        DataError: The model reads no text, or its plugin is not installed and so cannot be asked.
    """
    name = record.spec.model.name
    try:
        implementation = registry.implementation(registry.find("model", name)[1])
    except SpecError as error:
        raise DataError(f"run {record.run_id}: cannot tell whether its model reads text: {error}") from None
    if not issubclass(implementation, Model) or implementation.rebind is Model.rebind:
        raise DataError(f"run {record.run_id}: {name} reads no text; CLIP_benchmark is for models that do")


def documents(record: RunResult) -> list[Document]:
    """Return a file for each dataset the run was scored on.

    The task is zero-shot classification if the network was not tuned on the dataset. Otherwise, and for a loaded
    adapter, it is a name that CLIP_benchmark does not know. ``acc5`` and the language of the prompts are left out: they
    are not recorded.
    """
    return [_document(found) for found in measurements(record)]


def recognises(content: Mapping[str, Any]) -> bool:
    """Tell whether a file has the format of CLIP_benchmark."""
    return "task" in content and isinstance(content.get("metrics"), dict)


def reference(path: Path, content: Mapping[str, Any]) -> Reference:
    """Return the figures of a file that CLIP_benchmark wrote.

    Raises:
        DataError: Its task has no accuracy.
    """
    metrics = content["metrics"]
    if "acc1" not in metrics:
        raise DataError(f"{path}: task {content['task']!r} has no 'acc1', the accuracy that a sweep compares")
    return Reference(
        name=" ".join(str(content[key]) for key in ("model", "pretrained") if content.get(key)) or path.stem,
        clean=percent(path, "acc1", metrics["acc1"], scale=100),
        adversarial=None,
        about=(f"{content['task']} on {content.get('dataset')}, language {content.get('language') or 'unknown'}",),
    )


def _document(found: Measured) -> Document:
    record, spec = found.record, found.record.spec
    tuned = spec.adapter is not None or (spec.train_size is not None and found.dataset == spec.dataset)
    metrics = {"acc1": found.clean.accuracy}
    labels = found.data.scored_labels()
    if labels is not None:
        metrics["mean_per_class_recall"] = by_class(found.clean.mask(), labels, found.data.class_names).macro / 100
    content = {
        "dataset": found.dataset.name,
        "model": spec.model.label,
        # CLIP_benchmark puts the name of a checkpoint here; robench the tuner and the run.
        "pretrained": f"{found.tuner} {record.run_id}",
        "task": TUNED if tuned else ZERO_SHOT,
        "metrics": metrics,
    }
    name = f"{part(found.dataset.label)}_{part(spec.model.name)}_{record.run_id}.json"
    return Document(name=name, content=content)
