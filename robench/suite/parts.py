"""The runs of one method on a suite: which data sets each trains on and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robench.contracts.types import parse_name
from robench.errors import SpecError, nearest
from robench.registry.registry import Registry
from robench.run.others import without_n
from robench.run.plan import DEFAULT_TUNER
from robench.suite.definition import Size, Suite, SuiteSet
from robench.suite.places import Places, why_missing, with_parameter

OF_THE_SUITE = (
    "dataset",
    "attacks",
    "train_size",
    "test_size",
    "shots",
    "split",
    "eval_datasets",
    "white_box",
    "protocol",
)
"""Settings of a run that the suite says."""


@dataclass(frozen=True, kw_only=True)
class SuitePart:
    """One run of a method, for all seeds.

    Attributes:
        sets: The data sets that it scores.
        settings: The fields of a :class:`robench.run.plan.Request`, without the seed.
    """

    sets: tuple[SuiteSet, ...]
    settings: Mapping[str, Any]


def missing_sets(registry: Registry, suite: Suite, places: Places) -> dict[str, str]:
    """Return why data sets of `suite` are not here, by their names; one that only training needs counts as well."""
    why = {each.dataset: why_missing(registry, places.located(registry, each.dataset)) for each in suite.datasets}
    return {each.name: why[each.dataset] for each in suite.datasets if why[each.dataset]}


def parts_of(
    registry: Registry, suite: Suite, settings: Mapping[str, Any], places: Places, missing: Mapping[str, str]
) -> list[SuitePart]:
    """Return the runs of the method in `settings` on all data sets that are not `missing`.

    A tuner that trains is trained once for each dataset that entries name as ``train``, and scored on all entries that
    name it. Without training every entry is a run of its own. A ``model`` of None in `settings` is a network that is
    given in Python.

    Raises:
        SpecError: `settings` have what the suite says, or the model is unknown or takes no such parameter.
    """
    for key in settings:
        if key in OF_THE_SUITE or (key == "corruptions" and suite.corruptions):
            raise SpecError(f"{key!r} is said by suite {suite.full_name}; leave one of them out")
    tuner = settings.get("tuner", DEFAULT_TUNER)
    common = {**settings}
    if "model" not in settings or settings["model"] is not None:
        common["model"] = _model(registry, suite, settings.get("model"))
    common |= {"white_box": False, "split": suite.split, "suite": suite.mark}
    here = [each for each in suite.datasets if each.name not in missing]
    trains = registry.implementation(registry.find("tuner", tuner.partition(":")[0].strip())[1]).trains  # type: ignore[attr-defined]
    if not trains or settings.get("adapter") is not None:
        return [_part(registry, suite, each, (), common, places) for each in here]
    common |= {"shots": suite.shots} if suite.train_size is None else {"train_size": suite.train_size}
    parts = []
    for home in here:  # a home that is missing is no part, and its sets lack their figures
        group = [each for each in here if suite.trained_on(each) == home.dataset]
        if group:
            others = tuple(each for each in group if each is not home)
            own = () if home in group else (home,)
            parts.append(_part(registry, suite, home, others, common, places, unscored=own))
    return parts


def run_of(
    registry: Registry, suite: Suite, settings: Mapping[str, Any], places: Places, dataset: str | None
) -> Mapping[str, Any]:
    """Return the fields of the request of one run: the one that trains on, or scores, the entry `dataset`.

    Args:
        dataset: The name of an entry, or of its dataset; None if the suite is one run.

    Raises:
        SpecError: There is no such run, or there are several.
    """
    parts = parts_of(registry, suite, settings, places, {})
    names = {part.sets[0].name: part for part in parts}
    if dataset is not None:
        wanted = dataset.casefold()
        found = [
            part
            for part in parts
            if wanted in (part.sets[0].name.casefold(), part.sets[0].dataset, part.sets[0].dataset.partition(":")[0])
        ]
        if not found:
            raise SpecError(f"suite {suite.full_name} has no run on {dataset!r}{nearest(dataset, names)}")
        parts, names = found, {part.sets[0].name: part for part in found}
    if len(parts) > 1:
        raise SpecError(
            f"suite {suite.full_name} has {len(parts)} such runs; pass --dataset with one of {', '.join(names)}, or "
            f"run all with `robench suite {suite.full_name}`"
        )
    return parts[0].settings


def untrained_sets(suite: Suite, missing: Mapping[str, str]) -> list[str]:
    """Return the names of the data sets that are here, while what a tuner would train on for them is `missing`."""
    gone = {each.dataset for each in suite.datasets if each.name in missing}
    return [each.name for each in suite.datasets if each.name not in missing and suite.trained_on(each) in gone]


def _part(
    registry: Registry,
    suite: Suite,
    home: SuiteSet,
    others: tuple[SuiteSet, ...],
    common: Mapping[str, Any],
    places: Places,
    unscored: tuple[SuiteSet, ...] = (),
) -> SuitePart:
    scored = suite.scored(home)
    texts = []
    for other in others:
        text, n = places.located(registry, other.dataset), suite.scored(other)
        texts.append(text if n == scored != "all" else with_parameter(text, "n", n))
    settings = {**common, "dataset": places.located(registry, home.dataset), "test_size": scored}
    settings |= {"eval_datasets": tuple(texts)} if texts else {}
    settings |= {"attacks": tuple(_on_so_many(each.attack, scored) for each in suite.attacks)}
    corruptions = tuple(_on_so_many(each.corruption, scored) for each in suite.corruptions)
    settings |= {"corruptions": corruptions} if corruptions else {}
    return SuitePart(sets=tuple(each for each in (home, *others) if each not in unscored), settings=settings)


def _on_so_many(typed: str, scored: Size) -> str:
    """Return an attack or a corruption as typed without an ``n=`` of more images than are scored."""
    rest, n = without_n(typed)
    return rest if isinstance(n, int) and isinstance(scored, int) and n > scored else typed


def _model(registry: Registry, suite: Suite, given: str | None) -> str:
    text = given or suite.default_model
    if text is None:
        raise SpecError(f"suite {suite.full_name} has no model of its own; pass --model NAME")
    component = registry.find("model", text.partition(":")[0].strip())[1]
    known = registry.implementation(component).Params.model_fields
    typed = dict(parse_name(text, component.bare).params)
    for key, value in suite.model.items():
        if key not in known:
            raise SpecError(
                f"suite {suite.full_name} sets {key}= of models, and {component.name} has no such parameter"
                f"{nearest(key, known)}"
            )
        if key in typed and typed[key] != str(value):
            raise SpecError(f"{text!r} sets {key}, which suite {suite.full_name} says; leave it out")
        if key not in typed:
            text = with_parameter(text, key, value)
    return text
