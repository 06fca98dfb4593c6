"""What a run was asked to compute, and the run ID that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from robench.compute.precision import DEFAULT, Level
from robench.records.limits import MOST_IMAGES, MOST_NUMBER, Line, Params


class Record(BaseModel):
    """Base of all parts of a record. They are frozen; an unknown key, NaN or infinity is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ComponentSpec(Record):
    """One component with all its parameters."""

    name: Line = Field(description="registered name")
    params: Params = Field(description="every parameter, also defaults, except of parameters that came later")
    label: Line = Field(description="short form: the name and the parameters that differ from its defaults")

    @model_validator(mode="after")
    def _label_fits(self) -> Self:
        _require_label(self.label, self.name, self.params)
        return self


class AttackSpec(ComponentSpec):
    """One attack with all its parameters."""

    surrogate: ComponentSpec | None = Field(description="the network gradients come from; null for the target")
    n: int = Field(gt=0, le=MOST_IMAGES, description="number of images attacked, the first n of the split")
    samples: int = Field(
        default=1, gt=0, le=10_000, description="answers of the network that the attack averages (EOT)"
    )
    aware: Literal["yes", "no", "bpda", "exact"] = Field(
        default="yes",
        description="how it treats the defence: as an adaptive attacker, as if it were not there, by BPDA, by autograd",
    )

    @model_validator(mode="after")
    def _label_fits(self) -> Self:
        own = {"samples": self.samples, "aware": self.aware, **self.params}
        if self.aware != "yes" and f"aware={self.aware}" not in self.label.partition(":")[2].split(","):
            raise ValueError(f"label {self.label[:80]!r} does not say aware={self.aware}")
        if self.surrogate is None:
            _require_label(self.label, self.name, own)
            return self
        theirs = self.surrogate.params
        if "+" in self.surrogate.name:  # of an ensemble, whose label has the parameters of its first member
            theirs = next((each for each in theirs.values() if isinstance(each, dict)), {})
        named = {f"surrogate.{key}": value for key, value in theirs.items()}
        _require_label(self.label, f"{self.name}-{self.surrogate.name}", {**own, **named})
        return self


class ScoredSpec(ComponentSpec):
    """Other images that the tuned network is scored on: another dataset, or corruptions of the run's own."""

    n: int | None = Field(
        default=None, gt=0, le=MOST_IMAGES, description="images scored; null for as many as of the run's own dataset"
    )


class AdapterSpec(Record):
    """A saved adapter that was loaded instead of training."""

    sha256: Line = Field(description="SHA-256 of the file, first 16 hex digits")
    path: Line = Field(description="where it was; not part of the run ID")


class RunSpec(Record):
    """What a run computes. Its hash is the run ID; the device and the folder of results are not part of it."""

    dataset: ComponentSpec
    model: ComponentSpec
    tuner: ComponentSpec
    adversary: AttackSpec | None = Field(description="the attack that makes training images; null for none")
    attacks: tuple[AttackSpec, ...] = Field(description="the attacks evaluated, in order")
    train_size: int | None = Field(
        ge=0, le=MOST_NUMBER, description="training images that the tuner sees; null if it does not train"
    )
    split: Literal["test", "validation"] = Field(description="the split scored; settings are chosen on validation")
    test_size: int = Field(gt=0, le=MOST_IMAGES, description="images for clean accuracy, the first of that split")
    seed: int = Field(ge=0, le=MOST_NUMBER, description="seed of everything random in the run")
    eval_datasets: tuple[ScoredSpec, ...] = Field(
        default=(), description="other datasets that the tuned network is scored on, with their own classes"
    )
    adapter: AdapterSpec | None = Field(default=None, description="the adapter loaded instead of training")
    shots: int | None = Field(
        default=None, gt=0, le=MOST_NUMBER, description="training images of each class, drawn by the seed; null for all"
    )
    precision: Level = Field(default=DEFAULT, description="what networks compute in; gpu.md has the levels")
    defence: ComponentSpec | Annotated[tuple[ComponentSpec, ...], Field(min_length=2)] | None = Field(
        default=None,
        description="what answers in place of the tuned network; a list of several, the one that meets images first",
    )
    corruptions: tuple[ScoredSpec, ...] = Field(
        default=(), description="corruptions of the dataset's images that the tuned network is scored on"
    )

    @property
    def defences(self) -> tuple[ComponentSpec, ...]:
        """All defences, the one that meets images first."""
        if self.defence is None:
            return ()
        return (self.defence,) if isinstance(self.defence, ComponentSpec) else self.defence

    def scored(self, other: ScoredSpec) -> int:
        """Return how many images of another dataset, or under a corruption, are scored."""
        return self.test_size if other.n is None else other.n

    def attacked(self, attack: AttackSpec, scored: int) -> int:
        """Return how many of `scored` images of a dataset an attack takes: all, if it takes all of the run's own."""
        return scored if attack.n == self.test_size else min(attack.n, scored)

    def run_id(self) -> str:
        """Return the run ID: the first 12 hex digits of the SHA-256 of the JSON.

        Labels and paths are left out, and so are fields at the default that older records lack.
        """
        return _hash_of(self.model_dump(mode="json"))


def _require_label(label: str, name: str, params: Mapping[str, Any]) -> None:
    """Refuse a label that says another name or other values than those that a component ran with."""
    head, _, tail = label.partition(":")
    if head != name:
        raise ValueError(f"label {label[:80]!r} is not that of {name[:80]!r}")
    for item in tail.split(",") if tail else ():
        key, _, value = item.partition("=")
        if key in params and str(params[key]) != value:  # a parameter that came later is absent at its default
            raise ValueError(f"label {label[:80]!r} is not what was run, with {key}={str(params[key])[:80]}")


def content_id(spec: RunSpec, contents: Mapping[str, str]) -> str:
    """Return the run ID as it is if the hash of a file's content stands in place of each path.

    Args:
        contents: Hashes of files and folders, each by the component that reads it and a parameter, such as
            ``model weights``. Other names are ignored.
    """
    content = spec.model_dump(mode="json")
    for key, sha256 in contents.items():
        values, name = _parameter(content, key)
        if name in values:
            values[name] = sha256
    return _hash_of(content)


def file_name(spec: RunSpec, key: str) -> str:
    """Return the path that the parameter `key`, such as ``model weights``, names; empty if none does."""
    values, name = _parameter(spec.model_dump(mode="json"), key)
    return str(values.get(name, ""))


def _parameter(content: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return the parameters among which that of `key` is, and its name; a member of an ensemble has its own."""
    for role, part in components_of(content):
        if key.startswith(f"{role} "):
            member, _, name = key.removeprefix(f"{role} ").rpartition(".")
            params: dict[str, Any] = part["params"]
            values = params.get(member, {}) if member else params
            return (values if isinstance(values, dict) else {}), name
    return {}, ""


def _hash_of(content: dict[str, Any]) -> str:
    for _, part in components_of(content):
        del part["label"]
    for other in (*content["eval_datasets"], *content["corruptions"]):
        if other["n"] is None:  # older records lack it
            del other["n"]
    if content["adapter"]:
        del content["adapter"]["path"]
    for attack in (*content["attacks"], content["adversary"] or {}):
        for key, default in (("samples", 1), ("aware", "yes")):
            if attack.get(key) == default:
                del attack[key]
    absent: dict[str, Any] = {
        "eval_datasets": [],
        "adapter": None,
        "shots": None,
        "precision": DEFAULT,
        "defence": None,
        "corruptions": [],
    }
    content = {key: value for key, value in content.items() if key not in absent or value != absent[key]}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def components_of(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the components of a spec as plain values, each with the part that it plays, such as ``attack 1``."""
    yield "dataset", content["dataset"]
    yield from ((f"other dataset {number}", part) for number, part in enumerate(content["eval_datasets"], 1))
    yield "model", content["model"]
    yield "tuner", content["tuner"]
    defence = content["defence"] or []
    if isinstance(defence, dict):
        yield "defence", defence
    else:
        yield from ((f"defence {number}", part) for number, part in enumerate(defence, 1))
    yield from ((f"corruption {number}", part) for number, part in enumerate(content["corruptions"], 1))
    attacks = {f"attack {number}": part for number, part in enumerate(content["attacks"], 1)}
    for role, attack in {"adversary": content["adversary"], **attacks}.items():
        if attack:
            yield role, attack
            if attack["surrogate"]:
                yield f"surrogate of {role}", attack["surrogate"]
