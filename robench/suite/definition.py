"""What a suite says, read from a TOML file, and the hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from robench.errors import SpecError, nearest
from robench.suite.reading import first_fault, read_toml

Count = Annotated[int, Field(gt=0)]
Size = Count | Literal["all"]
Line = Annotated[str, Field(pattern=r"^[^\n]+$", max_length=300)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteAttack(_Part):
    """One attack of a suite.

    Attributes:
        name: The heading of its table.
        attack: As typed after ``--attack``.
    """

    name: Line
    attack: Line


class SuiteEnsemble(_Part):
    """Several attacks as one: an image counts only if it is right clean and under all of them.

    Attributes:
        name: The heading of its table.
        attacks: Their names in the suite.
    """

    name: Line
    attacks: tuple[Line, ...] = Field(min_length=2)


class SuiteCorruption(_Part):
    """Corruptions of the images of each data set, scored without an adversary.

    Attributes:
        name: The heading of its table.
        corruption: As typed after ``--corruption``. An image counts with the share of its corrupted versions that are
            right.
    """

    name: Line
    corruption: Line


class SuiteSet(_Part):
    """One data set of a suite.

    Attributes:
        name: The heading of its column.
        dataset: As typed after ``--dataset``, with the size at which images are attacked.
        train: The dataset, as typed in another entry, that a tuner trains on; None for what the suite says.
        n: Images; None for what the suite says.
        average: Whether it counts in the average.
        group: Which average it counts in, where a suite has several, such as ``base`` and ``new``.
    """

    name: Line
    dataset: Line
    train: Line | None = None
    n: Size | None = None
    average: bool = True
    group: str = Field(default="", max_length=40)


class Suite(_Part):
    """A protocol: what is scored, how it is attacked, what tuners train on, and what is averaged.

    Attributes:
        version: Grows with every change that changes figures.
        source: The paper, and where the protocol stands in it.
        note: Where it differs from the source, and what else a reader should know.
        split: Whose images are scored.
        n: Images of each data set.
        train: The dataset that tuners train on, as typed in one of the entries; ``each`` for each on itself.
        train_size: Training images; None with `shots`, the training images of each class.
        model: Parameters that every model takes, such as a prompt template.
        default_model: The model to measure if none is given.
        harmonic_mean: Two groups, whose averages have a harmonic mean.
        published: A file beside this one with the figures of papers.
        deviation: How it departs from the suite of this name; empty if it does not.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)
    version: Count
    title: Line
    source: str = Field(min_length=1, max_length=2_000)
    note: str = Field(default="", max_length=4_000)
    split: Literal["test", "validation"] = "test"
    n: Size
    train: Line = "each"
    train_size: Size | None = None
    shots: Count | None = None
    model: dict[Line, str | int | float] = {}
    default_model: Line | None = None
    harmonic_mean: tuple[str, str] | None = None
    published: Line | None = None
    deviation: str = Field(default="", max_length=300)
    attacks: tuple[SuiteAttack, ...] = Field(min_length=1)
    ensembles: tuple[SuiteEnsemble, ...] = ()
    corruptions: tuple[SuiteCorruption, ...] = ()
    datasets: tuple[SuiteSet, ...] = Field(min_length=1)

    @property
    def full_name(self) -> str:
        """The name with the version, as users type it, and the deviation from it."""
        return f"{self.name}@{self.version}" + (f" ({self.deviation})" if self.deviation else "")

    @property
    def content_hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of all that decides figures: not of titles, notes and sources."""
        told = {"name", "version", "title", "source", "note", "default_model", "published", "deviation"}
        told |= set() if self.corruptions else {"corruptions"}  # the hash of a suite without them is as it was
        content = self.model_dump(mode="json", exclude=told)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def mark(self) -> str:
        """What records say of the suite they were made for: its name, its version and its hash."""
        return f"{self.full_name} {self.content_hash}"

    @property
    def measures(self) -> dict[str, str]:
        """What is measured besides clean accuracy, by name: attacks and corruptions as typed, and ensembles."""
        ensembles = {each.name: f"the worst of {' and '.join(each.attacks)}" for each in self.ensembles}
        corruptions = {each.name: each.corruption for each in self.corruptions}
        return {each.name: each.attack for each in self.attacks} | ensembles | corruptions

    @property
    def averaged(self) -> tuple[str, ...]:
        """The measures of the table of averages: in place of attacks that are part of an ensemble stands this."""
        within = {name: each.name for each in reversed(self.ensembles) for name in each.attacks}
        return tuple(dict.fromkeys(within.get(name, name) for name in self.measures))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that are averaged, in order; one without a name in most suites."""
        return tuple(dict.fromkeys(each.group for each in self.datasets if each.average))

    def trained_on(self, each: SuiteSet) -> str:
        """Return the dataset that a tuner trains on for this entry, as typed."""
        return each.train or (each.dataset if self.train == "each" else self.train)

    def scored(self, each: SuiteSet) -> Size:
        """Return how many images of this entry are scored."""
        return self.n if each.n is None else each.n

    def reduced(self, n: int | None, only: tuple[str, ...]) -> Suite:
        """Return the suite with `n` images of each data set, and only the entries named: a deviation for a first look.

        Its name says so, and its hash is another.

        Raises:
            SpecError: There is no such entry.
        """
        names = {name for each in self.datasets for name in (each.name, each.dataset.partition(":")[0])}
        for name in only:
            if name not in names:
                raise SpecError(f"{self.full_name} has no data set {name!r}{nearest(name, names)}")
        kept = [
            each.model_copy(update={} if n is None else {"n": n})
            for each in self.datasets
            if not only or {each.name, each.dataset.partition(":")[0]} & set(only)
        ]
        lost = {each.dataset for each in self.datasets} - {each.dataset for each in kept}
        if needed := next((each for each in kept if self.trained_on(each) in lost), None):
            raise SpecError(f"{needed.name} is trained on {self.trained_on(needed)}; name that data set too")
        said = ([f"n={n}"] if n is not None else []) + ([f"only {', '.join(only)}"] if only else [])
        changed: dict[str, Any] = {
            "datasets": tuple(kept),
            "deviation": "; ".join([*([self.deviation] if self.deviation else []), *said]),
        }
        if not {each.group for each in kept if each.average} >= set(self.harmonic_mean or ()):
            changed["harmonic_mean"] = None
        return self.model_copy(update={**changed, **({} if n is None else {"n": n})})

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        measured = [each.name for each in self.attacks] + [each.name for each in self.ensembles]
        for what, names in (
            ("attacks", measured + [each.name for each in self.corruptions]),
            ("datasets", [each.name for each in self.datasets]),
            ("datasets", [each.dataset for each in self.datasets]),
        ):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{what}: {twice!r} stands twice")
        attacks = [each.name for each in self.attacks]
        for name in (name for each in self.ensembles for name in each.attacks):
            if name not in attacks:
                raise ValueError(f"ensembles: {name!r} is none of its attacks{nearest(name, attacks)}")
        known = {each.dataset for each in self.datasets}
        for each in self.datasets:
            if (home := self.trained_on(each)) not in known:
                raise ValueError(f"train: {home!r} is none of its datasets{nearest(home, known)}")
        if (self.train_size is None) == (self.shots is None):
            raise ValueError("train_size: expected it, or shots, and not both")
        if self.corruptions and any(self.trained_on(each) != each.dataset for each in self.datasets):
            raise ValueError("corruptions: only where tuners train on each data set itself, as a run corrupts its own")
        for group in self.harmonic_mean or ():
            if group not in self.groups:
                raise ValueError(f"harmonic_mean: {group!r} is the group of no dataset{nearest(group, self.groups)}")
        if not self.groups:
            raise ValueError("datasets: none is averaged")
        return self


def read_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        SpecError: The file does not exist, is not TOML, or has an unknown key or a wrong value. The message names the
            file and the line or the key.
    """
    content = read_toml(path, "suite", "one such as docs/suites.md shows")
    _refuse_unknown(content, path)
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{path}: {first_fault(error)}") from None


def _refuse_unknown(content: Mapping[str, Any], path: Path) -> None:
    parts: list[tuple[str, Any, type[BaseModel]]] = [("", content, Suite)]
    kinds: dict[str, type[BaseModel]] = {
        "attacks": SuiteAttack,
        "ensembles": SuiteEnsemble,
        "corruptions": SuiteCorruption,
        "datasets": SuiteSet,
    }
    for key, kind in kinds.items():
        found = content.get(key)
        for number, values in enumerate(found if isinstance(found, list) else (), start=1):
            parts.append((f"{key} {number}: ", values, kind))
    for where, values, kind in parts:
        for key in values if isinstance(values, dict) else ():
            if key not in kind.model_fields:
                raise SpecError(f"{path}: {where}unknown key {key!r}{nearest(key, kind.model_fields)}")
