"""Which figures of records are figures of a suite: any run that measured what the suite asks for counts.

A suite is provenance, not identity: a run that was made without it, or for another suite, serves it if data set,
images, attack, training and model are what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from robench.contracts.dataset import Dataset
from robench.errors import RobenchError
from robench.records.labels import method_label
from robench.records.limits import MOST_IMAGES
from robench.records.measurement import Measured, measurements
from robench.records.record import AttackSpec, RunResult, RunSpec
from robench.registry.registry import Registry
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.others import resolve_corruptions
from robench.run.specs import attack_spec
from robench.suite.averages import Answers, Masks
from robench.suite.definition import Size, Suite, SuiteSet
from robench.suite.places import Places

WHERE = ("path", "revision")
"""Parameters of datasets that say where the files lie, not which they are."""
CLEAN = ""
"""What the figures without an attack are called."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a row of the table is: a model, as typed, and how it was tuned."""

    model: str
    tuner: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The figures of one method.

    Attributes:
        answers: Which images are right, of each data set and attack, by their names, by seed; no attack is ``""``. On
            corruptions an image counts with the share of its corrupted versions that are right.
        records: The records that they are from.
        ensembles: The attacks of each ensemble of the suite.
    """

    method: Method
    answers: Mapping[tuple[str, str], Masks]
    records: tuple[RunResult, ...]
    ensembles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def masks(self, dataset: str, measure: str) -> Masks:
        """Return which images are right clean, or under a measure of the suite, by seed; nothing if not measured."""
        if measure not in self.ensembles:
            return self.answers.get((dataset, measure), {})
        parts = [self.masks(dataset, name) for name in (CLEAN, *self.ensembles[measure])]
        found = {}
        for seed in set.intersection(*(set(each) for each in parts)):
            n = min(len(each[seed]) for each in parts)
            found[seed] = np.logical_and.reduce([each[seed][:n] for each in parts])
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds of these figures."""
        return tuple(sorted({seed for found in self.answers.values() for seed in found}))


def method_of(suite: Suite, spec: RunSpec) -> Method:
    """Return the row that a run belongs to: what the suite says of models is left out of their name."""
    name, _, tail = spec.model.label.partition(":")
    items = [item for item in tail.split(",") if item and item.partition("=")[0] not in suite.model]
    tuner = method_label(spec) + (f" (adapter {spec.adapter.sha256[:8]})" if spec.adapter else "")
    tuner += "" if spec.precision == "mixed" else f" (precision {spec.precision})"
    return Method(model=name + (f":{','.join(items)}" if items else ""), tuner=tuner)


def standings(
    registry: Registry, suite: Suite, records: Iterable[RunResult], places: Places | None = None
) -> list[Standing]:
    """Return the figures of every method that `records` have of `suite`, the first measured method first.

    Of two figures of the same thing, the later counts.

    Raises:
        SpecError: The suite names a component that is not installed.
    """
    rows: dict[Method, dict[tuple[str, str], dict[int, Answers]]] = {}
    used: dict[Method, dict[str, RunResult]] = {}
    asked = [_Asked(registry, suite, each, places or Places()) for each in suite.datasets]
    attacks = {each.name: registry.resolve_attack(each.attack) for each in suite.attacks}
    corrupted = resolve_corruptions(registry, [each.corruption for each in suite.corruptions])
    corruptions = {each.name: found for each, found in zip(suite.corruptions, corrupted, strict=True)}
    completed = [record for record in records if record.status == "completed"]
    for record in sorted(completed, key=lambda each: each.provenance.started):
        method = method_of(suite, record.spec)
        for measured in measurements(record):
            for each in asked:
                if not each.is_met(measured, asked):
                    continue
                used.setdefault(method, {})[record.run_id] = record
                for name, right in (*_attacked(measured, attacks), *_corrupted(measured, corruptions)):
                    rows.setdefault(method, {}).setdefault((each.entry.name, name), {})[record.spec.seed] = right
    return [standing(suite, method, answers, used[method].values()) for method, answers in rows.items()]


def standing(
    suite: Suite,
    method: Method,
    answers: Mapping[tuple[str, str], Masks],
    records: Iterable[RunResult],
) -> Standing:
    """Return the figures of a method on `suite`."""
    ensembles = {each.name: each.attacks for each in suite.ensembles}
    return Standing(method=method, answers=answers, records=tuple(records), ensembles=ensembles)


def _attacked(measured: Measured, wanted: Mapping[str, ResolvedAttack]) -> Iterator[tuple[str, Answers]]:
    yield CLEAN, measured.clean.mask()
    for name, attack in wanted.items():
        asked = _unnamed(attack_spec(attack, MOST_IMAGES))
        for spec, score in zip(measured.record.spec.attacks, measured.attacks, strict=True):
            if _unnamed(spec) == asked and score.n == min(attack.n or measured.clean.n, measured.clean.n):
                yield name, score.mask()


def _corrupted(measured: Measured, wanted: Mapping[str, tuple[Resolved, Size | None]]) -> Iterator[tuple[str, Answers]]:
    """Yield the share of its corrupted versions that are right, of each image of a run's own data set."""
    record = measured.record
    if measured.dataset != record.spec.dataset:
        return
    for name, (corruption, n) in wanted.items():
        asked = min(n, measured.clean.n) if isinstance(n, int) else measured.clean.n
        for spec, found in zip(record.spec.corruptions, record.corruptions, strict=False):
            alike = (spec.name, dict(spec.params)) == (corruption.name, corruption.values())
            if alike and found.scores[0].n == asked:
                yield name, np.mean([score.mask() for score in found.scores], axis=0)


def _unnamed(attack: AttackSpec) -> dict[str, Any]:
    """Return all that an attack is, without what it is called and its number of images."""
    return attack.model_dump(exclude={"n": True, "label": True, "surrogate": {"label"}})


class _Asked:
    """What a suite asks of one data set."""

    def __init__(self, registry: Registry, suite: Suite, entry: SuiteSet, places: Places) -> None:
        self.suite, self.entry = suite, entry
        self.resolved = registry.resolve("dataset", places.located(registry, entry.dataset))
        self.values = _without_place(self.resolved.values())

    @cached_property
    def dataset(self) -> Dataset | None:
        """The data set, if it is at hand."""
        try:
            built: Dataset = self.resolved.build()
            return built if built.at_hand() else None
        except RobenchError:
            return None

    def is_of(self, name: str, params: Mapping[str, Any]) -> bool:
        """Tell whether a recorded dataset is this one, wherever it lay."""
        return (name, _without_place(params)) == (self.resolved.name, self.values)

    def is_met(self, measured: Measured, others: Iterable[_Asked]) -> bool:
        """Tell whether figures are those that the suite asks for: images, training and model."""
        suite, spec = self.suite, measured.record.spec
        if not self.is_of(measured.dataset.name, measured.dataset.params) or spec.split != suite.split:
            return False
        if not self._has(measured.record, suite.scored(self.entry), measured.clean.n, suite.split):
            return False
        if any(spec.model.params.get(key) != value for key, value in suite.model.items()):
            return False
        if spec.train_size is None:
            return True
        home = next(each for each in others if each.entry.dataset == suite.trained_on(self.entry))
        if not home.is_of(spec.dataset.name, spec.dataset.params) or spec.shots != suite.shots:
            return False
        return suite.train_size is None or home._has(measured.record, suite.train_size, spec.train_size, "train")

    def _has(self, record: RunResult, asked: Size, n: int, split: str) -> bool:
        """Tell whether `n` images are as many as asked for; all can be told of a set at hand, or by the mark."""
        if asked != "all":
            return n == asked
        if record.provenance.suite == self.suite.mark:
            return True
        try:
            return self.dataset is not None and self.dataset.size(split) == n  # type: ignore[arg-type]
        except RobenchError:
            return False


def _without_place(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in WHERE}
