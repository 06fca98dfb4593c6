"""The description of a component: its documentation, parameters, defaults and source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from robench.contracts.types import (
    AWARE,
    SAMPLES,
    Component,
    Kind,
    format_pixels,
    parse_amount,
    parse_name,
    parse_pixels,
    parse_radius,
    parse_step,
)
from robench.registry.paragraphs import hanging, unbroken, wrapped
from robench.registry.products import recommendations
from robench.registry.registry import Registry
from robench.registry.resolved import SURROGATE_PREFIX

EXAMPLES: dict[Kind, str] = {
    "dataset": "robench run --dataset {}",
    "model": "robench run --model {}",
    "tuner": "robench run --tuner {}",
    "adaptation": "robench run --tuner {}+tecoa",
    "objective": "robench run --tuner full+{}",
    "defence": "robench run --defence {}",
    "constraint": "robench check {}",
    "attacker": "robench run --attack {}",
    "corruption": "robench run --corruption {}",
    "logger": "robench run --log {}",
}
"""How a component of each kind is used."""
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_WRITTEN_AS: dict[Any, str] = {
    parse_pixels: "pixels, as 8/255",
    parse_radius: "radius, as 0.5",
    parse_amount: "number, as 10",
    parse_step: "step, as 2/255 or eps/4",
}


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

    @property
    def is_given(self) -> bool:
        """Whether the default is a value that a user might type."""
        return self.default not in ("", "unset", "required", "all") and not self.name.endswith("KEY")


OF_ANY = (
    Parameter(name="n", type="int ≥ 1", default="all", description="attack only the first n test images"),
    Parameter(
        name="samples",
        type="int ≥ 1",
        default="unset",
        description=f"answers of the network to average (EOT); {SAMPLES} if it has a random defence, else 1",
    ),
    Parameter(
        name="aware",
        type=" or ".join(AWARE),
        default="yes",
        description="whether a white-box attack knows the defence; bpda and exact say how gradients pass it",
    ),
)
"""Parameters of every attack."""


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
    example: str
    parameters: tuple[Parameter, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def _reference(self) -> str:
        """Return the reference, or of one that the documentation tells at length, where its papers are."""
        if "Source:" not in self.documentation:
            return f"Reference: {self.reference or 'none given'}"
        papers = [each for each in re.findall(r"arXiv:[0-9.]*[0-9]", self.reference) if each not in self.documentation]
        return f"Papers: {', '.join(papers)}" if papers else ""

    def line(self, width: int | None = None) -> str:
        """Return what it is, and how it is used, without what the description of another component has said."""
        return "\n".join([*wrapped(f"{self.kind} {self.name}: {self.summary}", width), "", f"Example: {self.example}"])

    def text(self, width: int | None = None) -> str:
        """Return the description as text for a terminal of `width` columns; None for lines of any length."""
        rows = [
            (f"{each.name}={each.default}", each.description + (f" ({each.source})" if each.source else ""))
            for each in self.parameters
        ]
        lines = [
            *wrapped(f"{self.kind} {self.name}: {self.summary}", width),
            "",
            *(part for line in unbroken(self.documentation, width) for part in wrapped(line, width)),
            "",
            "Example:",
            f"  {self.example}",
            "",
            "Parameters:",
            *(hanging(rows, width) or ["  none"]),
            "",
            *wrapped(self._reference(), width),
            *wrapped(f"Plugin: {self.plugin} ({self.target})", width),
        ]
        return re.sub("\n{3,}", "\n\n", "\n".join(lines))


def _example(component: Component, name: str, parameters: Sequence[Parameter], bare: str) -> str:
    """Return a command that uses a component, with what it requires, and up to two of its parameters."""
    needed = [f"{each.name}={each.name.upper()}" for each in parameters if each.default == "required"]
    if component.family:
        needed, name = [each for each in needed if not each.startswith(f"{component.family}=")], f"{name}-NAME"
    elif component.bare:
        needed = [bare, *(each for each in needed if not each.startswith(f"{component.bare}="))]
    given = [f"{each.name}={each.default}" for each in parameters if each.is_given]
    settings = ",".join([*needed, *given[: max(0, 2 - len(needed))]])
    # The settings of an adaptation follow the name of the whole tuner.
    head, _, tail = EXAMPLES[component.kind].partition("{}")
    return f"{head}{name}{tail}" + (f":{settings}" if settings else "")


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
    canonical = loaded.Params.canonical
    defaults = {canonical(key): value for key, value in component.defaults.items()}
    recommended = {canonical(key): value for key, value in recommended.items()}
    preset = {canonical(key) for key in _declared(registry, component).defaults} if kind == "tuner" else set()
    parameters = []
    for key, field in loaded.Params.model_fields.items():
        type_ = _type(field.annotation, field.metadata)
        amount = _WRITTEN_AS[parse_amount] in type_  # a number of something, and no distance of values
        own = _written(defaults.get(key, field.default), amount)
        default = _written(recommended[key], amount) if key in recommended else own
        parameters.append(
            Parameter(
                name=key,
                type=type_,
                default=default,
                description=field.description or "",
                source=_source(
                    default, own, _written(field.default, amount), model, component.name if key in preset else ""
                ),
            )
        )
    if kind == "attacker":
        parameters += [each for each in OF_ANY if each.name not in loaded.Params.model_fields]
    if kind == "attacker" or (kind == "tuner" and "adversary" in loaded.Params.model_fields):
        meaning = "a parameter of the surrogate, such as surrogate.weights=FILE"
        parameters.append(
            Parameter(name=f"{SURROGATE_PREFIX}KEY", type="as there", default="unset", description=meaning)
        )
    examples = loaded.Params.model_fields[component.bare].examples if component.bare else None
    bare = str(examples[0]) if examples else component.bare.upper()
    return Description(
        kind=kind,
        name=registry.displayed_name(plugin, component),
        summary=component.summary,
        documentation=inspect.getdoc(loaded) or "",
        reference=component.reference,
        plugin=f"{plugin.distribution} {plugin.version}",
        target=component.target,
        example=_example(component, registry.displayed_name(plugin, component), parameters, bare),
        parameters=tuple(parameters),
    )


def _declared(registry: Registry, component: Component) -> Component:
    """Return `component` as its plugin declares it, without what the halves of a tuner add."""
    same = (item for _, item in registry.components(component.kind) if item.name == component.name)
    return next(same, component if component.target != component.name else replace(component, defaults={}))


def _source(default: str, own: str, usual: str, model: str | None, preset: str) -> str:
    if default != own:
        return f"{model} recommends this; otherwise {own}"
    return f"{preset} sets this; otherwise {usual}" if preset and own != usual else ""


def _written(value: object, amount: bool) -> str:
    if isinstance(value, Fraction):
        return str(value) if amount else format_pixels(value)
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
