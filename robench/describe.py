"""What a component is: its documentation, parameters, defaults and sources."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from pydantic_core import PydanticUndefined

from robench.registry import Registry
from robench.resolved import SURROGATE_PREFIX
from robench.types import Kind, format_pixels


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter: its default as users would write it, and what it means."""

    name: str
    default: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """All that ``robench describe`` shows of a component."""

    kind: Kind
    name: str
    summary: str
    documentation: str
    reference: str
    plugin: str
    target: str
    parameters: tuple[Parameter, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def text(self) -> str:
        """Return it for a person to read."""
        lines = [f"{self.kind} {self.name}: {self.summary}", ""]
        lines += [*self.documentation.splitlines(), "", "Parameters:"]
        width = max((len(f"{p.name}={p.default}") for p in self.parameters), default=0)
        lines += [f"  {f'{p.name}={p.default}':{width}}  {p.description}" for p in self.parameters] or ["  none"]
        lines += [
            "",
            f"Reference: {self.reference or 'none given'}",
            f"Plugin: {self.plugin} ({self.target})",
        ]
        return "\n".join(lines)


def describe(registry: Registry, kind: Kind, name: str) -> Description:
    """Describe the component of `kind` called `name`.

    Raises:
        SpecError: There is none.
        PluginError: It cannot be imported.
    """
    plugin, component = registry.find(kind, name)
    loaded = registry.implementation(component)
    parameters = []
    for key, field in loaded.Params.model_fields.items():
        default = component.defaults.get(key, field.default)
        description = field.description or ""
        parameters.append(Parameter(name=key, default=_written(default), description=description))
    if kind == "attacker":
        parameters.append(Parameter(name="n", default="all", description="attack the first n test images only"))
    if kind == "attacker" or (kind == "tuner" and "adversary" in loaded.Params.model_fields):
        meaning = "a parameter of the surrogate, such as surrogate.weights=FILE"
        parameters.append(Parameter(name=f"{SURROGATE_PREFIX}KEY", default="unset", description=meaning))
    return Description(
        kind=kind,
        name=registry.displayed_name(plugin, component),
        summary=component.summary,
        documentation=inspect.getdoc(loaded) or "",
        reference=component.reference,
        plugin=f"{plugin.distribution} {plugin.version}",
        target=component.target,
        parameters=tuple(parameters),
    )


def _written(value: object) -> str:
    if isinstance(value, Fraction):
        return format_pixels(value)
    if value is PydanticUndefined:
        return "required"
    return "unset" if value is None else str(value)
