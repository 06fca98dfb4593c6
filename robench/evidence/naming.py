"""Do the labels of a record name what was run? They are compared with what they mean to the components here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from robench.contracts.types import Kind
from robench.records.record import AttackSpec, ComponentSpec, RunResult
from robench.registry.products import recommendations
from robench.registry.registry import Registry, discover
from robench.registry.resolved import SURROGATE_PREFIX


def misleading_labels(record: RunResult) -> Iterator[str]:
    """Yield each parameter that a label leaves out, although it differs from what the label means here.

    A record that says ``pgd`` of what was run as ``pgd:steps=2`` would stand in tables as the attack that everybody
    knows. Components that are not installed, or have no such parameters, are not compared.
    """
    spec, model = record.spec, record.spec.model.label
    parts: list[tuple[Kind, ComponentSpec]] = [("dataset", spec.dataset), ("model", spec.model), ("tuner", spec.tuner)]
    parts += [("dataset", other) for other in spec.eval_datasets]
    parts += [("corruption", each) for each in spec.corruptions]
    parts += [("attacker", attack) for attack in (*spec.attacks, spec.adversary) if attack is not None]
    for kind, part in parts:
        values = dict(part.params)
        if isinstance(part, AttackSpec) and part.surrogate is not None:
            values |= {SURROGATE_PREFIX + key: value for key, value in part.surrogate.params.items()}
        named = {item.partition("=")[0] for item in part.label.partition(":")[2].split(",")}
        means = json.loads(_meaning(kind, part.label, model if kind == "tuner" else ""))
        for key, value in values.items():
            if key in means and key not in named and means[key] != value:
                found, meant = (str(each)[:80] for each in (value, means[key]))
                yield f"label {part.label[:80]!r} leaves out {key}={found}, which was run; here it means {key}={meant}"


@cache
def _meaning(kind: Kind, label: str, model: str) -> str:
    """Return the parameters that a label means here, as JSON; none if it means nothing."""
    try:
        return json.dumps(_resolved(_registry(), kind, label, model))
    except Exception:  # a label of a stranger, read by any plugin
        return "{}"


def _resolved(registry: Registry, kind: Kind, label: str, model: str) -> Mapping[str, Any]:
    if kind == "attacker":
        attack = registry.resolve_attack(label)
        theirs = attack.surrogate.values() if attack.surrogate else {}
        return {**attack.values(), **{SURROGATE_PREFIX + key: value for key, value in theirs.items()}}
    if kind == "tuner" and registry.knows("model", model.partition(":")[0]):
        tuner = registry.find("tuner", label.partition(":")[0])[1]
        recommended = recommendations(registry.find("model", model.partition(":")[0])[1], tuner)
        return registry.resolve(kind, label, recommended).values()
    return registry.resolve(kind, label).values()


@cache
def _registry() -> Registry:
    return discover(broken_files=True)
