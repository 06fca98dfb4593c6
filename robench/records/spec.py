"""What a run was asked to compute, and the run ID that follows from it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class AttackSpec(ComponentSpec):
    """One attack with all its parameters."""

    surrogate: ComponentSpec | None = Field(description="the network gradients come from; null for the target")
    n: int = Field(gt=0, le=MOST_IMAGES, description="number of images attacked, the first n of the split")


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
    eval_datasets: tuple[ComponentSpec, ...] = Field(
        default=(), description="other datasets that the tuned network is scored on, with their own classes"
    )
    adapter: AdapterSpec | None = Field(default=None, description="the adapter loaded instead of training")
    precision: Level = Field(default=DEFAULT, description="what networks compute in; gpu.md has the levels")

    def run_id(self) -> str:
        """Return the run ID: the first 12 hex digits of the SHA-256 of the JSON.

        Labels and paths are left out, and so are fields at the default that older records lack.
        """
        content = self.model_dump(mode="json")
        for part in _components(content):
            del part["label"]
        if content["adapter"]:
            del content["adapter"]["path"]
        absent: dict[str, Any] = {"eval_datasets": [], "adapter": None, "precision": DEFAULT}
        content = {key: value for key, value in content.items() if key not in absent or value != absent[key]}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _components(content: dict[str, Any]) -> list[dict[str, Any]]:
    attacks = [attack for attack in (content["adversary"], *content["attacks"]) if attack]
    surrogates = [attack["surrogate"] for attack in attacks if attack["surrogate"]]
    datasets = [content["dataset"], *content["eval_datasets"]]
    return [*datasets, content["model"], content["tuner"], *attacks, *surrogates]
