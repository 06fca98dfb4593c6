"""Components with their parameters settled, as a run uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from robench.contracts.types import Component, ThreatModel
from robench.errors import PluginError
from robench.registry.discovery import Plugin

if TYPE_CHECKING:
    from robench.contracts.configured import Configured
    from robench.contracts.params import Params

SURROGATE_PREFIX = "surrogate."


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A component with validated parameters, ready to be built.

    Attributes:
        name: The shortest that means it alone.
        origins: The plugin and the declaration of it and of each of its parts.
        recommended: What the rest of the run recommends to it where the user says nothing.
    """

    name: str
    component: Component
    plugin: Plugin
    implementation: type[Configured]
    params: Params
    origins: Mapping[str, tuple[Plugin, Component]]
    recommended: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return every parameter as plain JSON values."""
        return self.params.as_dict()

    @property
    def label(self) -> str:
        """The name and the parameters that differ from the component's defaults or from what is recommended to it."""
        kind, values = type(self.params), self.params.model_dump(mode="json")
        defaults = dict(self.component.defaults)
        required = {k for k, field in kind.model_fields.items() if field.is_required() and k not in defaults}
        filled = {**defaults, **{key: values[key] for key in required}}
        known = [kind.read({**filled, **more}, self.name).model_dump(mode="json") for more in ({}, self.recommended)]
        told = {key for key in self.params.model_fields_set if any(values[key] != each[key] for each in known)}
        changed = [f"{key}={value}" for key, value in values.items() if key in required | told]
        return self.name + (":" + ",".join(changed) if changed else "")

    def build(self) -> Any:
        """Instantiate the component.

        Raises:
            PluginError: The class misses a method of its interface; the message names it.
        """
        try:
            return self.implementation(self.params)
        except TypeError as error:
            raise PluginError(f"{self.component.kind} {self.component.name!r} is incomplete: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ResolvedAttack(Resolved):
    """An attack, with the surrogate it takes its gradients from and the number of images it is given."""

    surrogate: Resolved | None = None
    n: int | None = None

    @property
    def label(self) -> str:
        """``name[-surrogate][:key=value,...]`` with what differs from the defaults; n is shown elsewhere."""
        own, _, own_params = super().label.partition(":")
        if self.surrogate is None:
            return super().label
        surrogate, _, surrogate_params = self.surrogate.label.partition(":")
        parts = [part for part in own_params.split(",") if part]
        parts += [SURROGATE_PREFIX + part for part in surrogate_params.split(",") if part]
        return f"{own}-{surrogate}" + (":" + ",".join(parts) if parts else "")

    def threat(self) -> ThreatModel:
        """Return the threat model."""
        threat: ThreatModel = self.build().threat(surrogate=self.surrogate is not None)
        return threat
