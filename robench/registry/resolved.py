"""A component with its parameters, as a run uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.contracts.types import Aware, Component, ThreatModel
from robench.errors import PluginError, SpecError
from robench.registry.constraints import find_constraint
from robench.registry.discovery import Plugin

if TYPE_CHECKING:
    from robench.contracts.attacker import Attacker
    from robench.contracts.configured import Configured
    from robench.contracts.params import Params
    from robench.registry.registry import Registry

SURROGATE_PREFIX = "surrogate."


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A component with validated parameters, ready to be built.

    Attributes:
        name: The shortest name that means only this component.
        component: Its declaration.
        plugin: The plugin that declares it.
        implementation: Its class.
        params: Its parameters.
        origins: The plugin and the declaration of the component, and of each of its parts, such as an adaptation.
        recommended: Values that other components of the run recommend, used unless the user sets them.
        recorded_as: Its label in a record that it was made from; empty if it was typed.
    """

    name: str
    component: Component
    plugin: Plugin
    implementation: type[Configured]
    params: Params
    origins: Mapping[str, tuple[Plugin, Component]]
    recommended: Mapping[str, Any] = field(default_factory=dict)
    recorded_as: str = ""

    def values(self) -> dict[str, Any]:
        """Return every parameter as plain JSON values."""
        return self.params.as_dict()

    def files(self) -> dict[str, Path]:
        """Return the files and folders whose content decides what the component does, each with a name for it."""
        return dict(self.implementation.files(self.params))

    @property
    def label(self) -> str:
        """The name, and the parameters that differ from the component's defaults or from the recommended values."""
        if self.recorded_as:
            return self.recorded_as
        from robench.contracts.params import written

        kind, values = type(self.params), written(self.params)
        defaults = {kind.canonical(key): value for key, value in self.component.defaults.items()}
        required = {k for k, field in kind.model_fields.items() if field.is_required() and k not in defaults}
        filled = {**defaults, **{key: values[key] for key in required}}
        told: set[str] = set()
        for more in ({}, self.recommended):
            # A default may follow from another parameter, as a step does from the radius: what is told may change it.
            while True:
                meant = written(kind.read({**filled, **more, **{key: values[key] for key in told}}, self.name))
                differ = {key for key in self.params.model_fields_set - told if values[key] != meant[key]}
                if not differ:
                    break
                told |= differ
        changed = {key: f"{key}={value}" for key, value in values.items() if key in required | told}
        if (bare := changed.pop(self.component.bare, None)) is not None:
            changed = {"": bare.partition("=")[2], **changed}
        return self.name + (":" + ",".join(changed.values()) if changed else "")

    def build(self) -> Any:
        """Return an instance of the component.

        Raises:
            PluginError: Its class lacks a method of the interface; the message names it.
        """
        try:
            return self.implementation(self.params)
        except TypeError as error:
            raise PluginError(f"{self.component.kind} {self.component.name!r} is incomplete: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ResolvedAttack(Resolved):
    """An attack with validated parameters.

    Attributes:
        surrogate: The network that gradients come from; None for the target itself.
        n: The number of images to attack; None for all.
        samples: Answers of the network that are averaged; None for the usual number.
        usual_samples: That number, which follows from the defence of the run.
        aware: How it treats the defence of its target.
        constraint: What its ``norm`` names; :meth:`bound` looks it up.
    """

    surrogate: Resolved | None = None
    n: int | None = None
    samples: int | None = None
    usual_samples: int = 1
    aware: Aware = "yes"
    constraint: Resolved | None = None

    def bound(self, registry: Registry) -> ResolvedAttack:
        """Return the attack with its constraint, which is one of its origins.

        Raises:
            SpecError: There is no such constraint, or its radius cannot be this one.
        """
        if not registry.components("constraint"):
            return self
        found = find_constraint(registry, super().build().threat(surrogate=self.surrogate is not None).norm)
        bound = replace(self, constraint=found, origins={**self.origins, **found.origins})
        bound.threat()
        return bound

    def build(self) -> Attacker:
        """Return an instance of the attack, which has its constraint."""
        attacker: Attacker = super().build()
        attacker.constraint = self.constraint.build() if self.constraint else None
        return attacker

    @property
    def label(self) -> str:
        """``name[-surrogate][:key=value,...]`` with the parameters that differ from the defaults; without ``n``."""
        if self.recorded_as:
            return super().label
        name, _, own_params = super().label.partition(":")
        parts = [part for part in own_params.split(",") if part]
        if self.surrogate is not None:
            surrogate, _, surrogate_params = self.surrogate.label.partition(":")
            name = f"{name}-{surrogate}"
            parts += [SURROGATE_PREFIX + part for part in surrogate_params.split(",") if part]
        parts += [] if self.aware == "yes" else [f"aware={self.aware}"]
        parts += [] if self.answers == self.usual_samples else [f"samples={self.answers}"]
        return name + (":" + ",".join(parts) if parts else "")

    @property
    def answers(self) -> int:
        """How many answers of the network the attack averages each time that it asks."""
        return self.samples or self.usual_samples

    def threat(self) -> ThreatModel:
        """Return the threat model of the attack.

        Raises:
            SpecError: Its budget of queries allows none.
        """
        threat: ThreatModel = self.build().threat(surrogate=self.surrogate is not None)
        if self.constraint is not None:
            threat = replace(threat, constraint=self.constraint.build())
        if threat.queries is not None and threat.queries < self.answers:
            raise SpecError(
                f"{self.label} averages {self.answers} answers for each query, so queries={threat.queries} allows none"
                f"; expected queries={self.answers} or more"
            )
        return replace(threat, knowledge="unaware") if self.aware == "no" else threat
