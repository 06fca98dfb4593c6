"""The description of a component: its documentation, parameters, defaults and source."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from robench.contracts.types import Kind, format_pixels, parse_name, parse_pixels, parse_radius
from robench.registry.products import recommendations
from robench.registry.registry import Registry
from robench.registry.resolved import SURROGATE_PREFIX

_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_WRITTEN_AS: dict[Any, str] = {parse_pixels: "pixels, as 8/255", parse_radius: "radius, as 0.5"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter: its name, type, default as users write it, and meaning.

    Attributes:
        source: Where the default comes from, if it is not the component's own.
    """

    name: str
    type: str
    default: str
    description: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What ``robench describe`` shows of a component."""

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
        """Return the description as text for a terminal."""
        lines = [f"{self.kind} {self.name}: {self.summary}", ""]
        lines += [*self.documentation.splitlines(), "", "Parameters:"]
        width = max((len(f"{p.name}={p.default}") for p in self.parameters), default=0)
        for each in self.parameters:
            source = f" ({each.source})" if each.source else ""
            lines.append(f"  {f'{each.name}={each.default}':{width}}  {each.description}{source}")
        lines += [] if self.parameters else ["  none"]
        lines += [
            "",
            f"Reference: {self.reference or 'none given'}",
            f"Plugin: {self.plugin} ({self.target})",
        ]
        return "\n".join(lines)


def describe(registry: Registry, kind: Kind, name: str, model: str | None = None) -> Description:
    """Describe the component of `kind` called `name`.

    Args:
        model: A tuner's defaults are shown for this model, which may recommend others.

    Raises:
        SpecError: There is none.
        PluginError: It cannot be imported.
    """
    plugin, component = registry.find(kind, name)
    loaded = registry.implementation(component)
    recommended = (
        recommendations(registry.find("model", parse_name(model).text)[1], component)
        if kind == "tuner" and model
        else {}
    )
    parameters = []
    for key, field in loaded.Params.model_fields.items():
        own = _written(component.defaults.get(key, field.default))
        default = _written(recommended[key]) if key in recommended else own
        parameters.append(
            Parameter(
                name=key,
                type=_type(field.annotation, field.metadata),
                default=default,
                description=field.description or "",
                source=f"{model} recommends this; otherwise {own}" if default != own else "",
            )
        )
    if kind == "attacker":
        meaning = "attack only the first n test images"
        parameters.append(Parameter(name="n", type="int ≥ 1", default="all", description=meaning))
    if kind == "attacker" or (kind == "tuner" and "adversary" in loaded.Params.model_fields):
        meaning = "a parameter of the surrogate, such as surrogate.weights=FILE"
        parameters.append(
            Parameter(name=f"{SURROGATE_PREFIX}KEY", type="as there", default="unset", description=meaning)
        )
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


def _type(annotation: Any, metadata: Sequence[Any]) -> str:
    """Return the type of a parameter in a word or two, with its bounds."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return _type(annotation, [*more, *metadata])
    if get_origin(annotation) is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    for validator in metadata:
        if (distance := _WRITTEN_AS.get(getattr(validator, "func", None))) is not None:
            return distance
    choices = [choice for choice in get_args(annotation) if choice is not NoneType]
    if choices:
        return " or ".join(_type(choice, metadata) for choice in choices)
    bounds = [
        f"{sign} {value}"
        for validator in metadata
        for key, sign in _BOUNDS.items()
        if (value := getattr(validator, key, None)) is not None
    ]
    return f"{getattr(annotation, '__name__', annotation)} {', '.join(bounds)}".strip()
