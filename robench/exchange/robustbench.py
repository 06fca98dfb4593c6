"""RobustBench's ``model_info`` files: one model under one threat model, accuracies as text in percent.

Source: ``ModelInfo``, ``update_json`` and ``list_available_models`` in robustbench/utils.py of
https://github.com/RobustBench/robustbench. Extra keys are allowed: all its readers pick keys by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robench.errors import DataError
from robench.exchange.document import Document, part
from robench.exchange.published import Reference, percent
from robench.records.limits import radius
from robench.records.measurement import Measured, measurements
from robench.records.record import AttackScore, AttackSpec, RunResult
from robench.registry.registry import Registry
from robench.statistics.worst_case import worst_cases

TITLE = "RobustBench"
FIGURES: tuple[str, ...] = ("dataset", "eps", "clean_acc", "reported", "autoattack_acc")
KNOWN_DATASETS = ("cifar10", "cifar100", "imagenet")
"""The datasets that RobustBench can list."""
_STANDARD: dict[str, object] = {"steps": 100, "queries": 5000}
_FEWEST_CLASSES = 4
"""Classes that the targeted losses of AutoAttack's standard version need."""


def require(record: RunResult, registry: Registry) -> None:
    """Refuse a run without an attack.

    Raises:
        DataError: The run has no attack.
    """
    if not _balls(measurements(record)[0]):
        raise DataError(f"run {record.run_id} was not attacked; a file of RobustBench is about one threat model")


def documents(record: RunResult) -> list[Document]:
    """Return a file for each dataset and each norm and radius it was attacked with.

    ``autoattack_acc`` comes only from AutoAttack's standard version on all scored images. ``reported`` is the worst
    case over all attacks within the radius. What a record does not know is null or empty.
    """
    return [_document(found, norm, eps) for found in measurements(record) for norm, eps in _balls(found)]


def recognises(content: Mapping[str, Any]) -> bool:
    """Tell whether a file has the format of RobustBench."""
    return "clean_acc" in content


def reference(path: Path, content: Mapping[str, Any]) -> Reference:
    """Return the figures of a file that RobustBench wrote.

    As in RobustBench, an external evaluation is preferred to AutoAttack.
    """
    source = next((key for key in ("external", "autoattack_acc") if content.get(key) is not None), None)
    by = {"external": "an external evaluation", "autoattack_acc": "AutoAttack", None: "nobody"}
    about = [str(content.get(key) or "") for key in ("name", "authors", "venue", "link")]
    what = f"{content.get('architecture') or 'a model'} on {content.get('dataset')}, radius {content.get('eps')}"
    reported = f"; its authors report {content['reported']}" if content.get("reported") else ""
    return Reference(
        name=path.stem,
        clean=percent(path, "clean_acc", content["clean_acc"]),
        adversarial=None if source is None else percent(path, source, content[source]),
        about=(", ".join(each for each in about if each), f"{what}; adversarial is by {by[source]}{reported}"),
    )


def _balls(found: Measured) -> list[tuple[str, str]]:
    blind = ("nothing", "unaware")  # RobustBench has no figures of attackers who do not know the defence
    return list(dict.fromkeys((score.norm, score.eps) for score in found.attacks if score.knowledge not in blind))


def _document(found: Measured, norm: str, eps: str) -> Document:
    record, spec, largest = found.record, found.record.spec, radius(eps)
    inside = [score for score in found.attacks if score.norm == norm and radius(score.eps) <= largest]
    (worst,) = worst_cases(found.clean, inside)
    standard = [
        score
        for attack, score in zip(spec.attacks, found.attacks, strict=True)
        if (score.norm, score.eps) == (norm, eps) and _is_standard(found, attack, score)
    ]
    notes = [f"robench run {record.run_id}, seed {spec.seed}: clean on n={found.clean.n} images"]
    notes.append(f"reported is the worst case on n={worst.n} under {', '.join(worst.attacks)}")
    notes += [f"AutoAttack (standard version, 8-bit images) on n={score.n}" for score in standard]
    notes += [found.precision] if found.precision else []
    notes.append(f"checks: {record.verdict or 'none'}")
    content = {
        "link": "",
        "name": f"{spec.model.label}, {found.tuner}",
        "authors": "",
        "additional_data": None,
        "number_forward_passes": None,
        "dataset": found.dataset.name,
        "venue": "",
        "architecture": spec.model.name,
        "eps": eps,
        "clean_acc": _text(found.clean.accuracy),
        "reported": _text(worst.accuracy),
        # As in RobustBench, an image that is wrong clean is not robust.
        "autoattack_acc": _text(worst_cases(found.clean, standard)[0].accuracy) if standard else None,
        "footnote": "; ".join(notes),
    }
    # The folder is that of the dataset; two variants of a dataset in one run need two file names.
    variant = "" if found.dataset.label == found.dataset.name else f"_{part(found.dataset.label)}"
    name = f"{part(found.dataset.name)}/{part(norm)}/{record.run_id}_{part(eps)}{variant}.json"
    return Document(name=name, content=content)


def _is_standard(found: Measured, attack: AttackSpec, score: AttackScore) -> bool:
    """Tell whether a score is of robench's AutoAttack, standard version, in float32, on all scored images."""
    settings = {key: value for key, value in attack.params.items() if key not in ("norm", "eps")}
    return (
        attack.name == "autoattack"
        and attack.surrogate is None
        and found.record.provenance.plugins.get("attacker autoattack", "").startswith("robench ")
        and {**_STANDARD, **settings} == _STANDARD
        and len(found.data.class_names) >= _FEWEST_CLASSES
        and score.n == found.clean.n
        and not found.precision
    )


def _text(accuracy: float) -> str:
    return str(round(100 * accuracy, 2))
