"""The nouns of robench as frozen data: components, threat models, names as typed, and distances in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

from robench.errors import SpecError, nearest

Kind = Literal["dataset", "model", "tuner", "adaptation", "objective", "attacker", "logger"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "tuner", "adaptation", "objective", "attacker", "logger")

Norm = Literal["Linf", "L2"]
Knowledge = Literal["white-box", "transfer", "query", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Component:
    """One component, declared as data, so that listing it imports nothing.

    Attributes:
        kind: The interface that it implements, such as ``attacker``.
        name: The name that users type, in lower case with hyphens.
        target: Its class, ``"package.module:Class"``, imported only when it is used. For a tuner it may be
            ``"ADAPTATION+OBJECTIVE"``, by their registered names.
        summary: One line for ``robench list``.
        reference: The paper or source of the method, for ``robench describe``.
        defaults: Values that differ from the defaults of the class, so that one class serves several names.
        recommends: Settings to use if the user gives none: for a dataset ``{"model": NAME}``, for a model
            ``{TUNER or ADAPTATION: {parameter: value}}``, for an adaptation ``{parameter: value}``. Choose them on
            validation data, never on test data.
        family: The parameter that takes the rest of a longer name: with ``"architecture"``, ``timm-resnet18`` is the
            component ``timm`` with ``architecture=resnet18``.
        bare: The parameter that a value without a name sets if it comes first: with ``"repository"``, ``hub:ORG/NAME``
            is ``hub:repository=ORG/NAME``.
        downloads: What is downloaded on first use, as ``"hf:ORG/NAME"`` or ``"torch.hub:FILE"``.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    reference: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    recommends: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    bare: str = ""
    downloads: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """What the adversary may do: the norm and radius of the ball, and what it knows of the target.

    Attributes:
        norm: The norm that bounds a perturbation, per image.
        eps: Its radius, exact, in ``[0, 1]`` pixel units; an L2 radius may exceed 1.
        knowledge: ``white-box`` sees the target's gradients, ``transfer`` only a surrogate's, ``query`` only the
            target's logits. ``nothing`` is a control: it shows what noise or resampling alone costs.
    """

    norm: Norm
    eps: Fraction
    knowledge: Knowledge

    def __post_init__(self) -> None:
        for value, known in ((self.norm, get_args(Norm)), (self.knowledge, get_args(Knowledge))):
            if value not in known:
                raise SpecError(f"an attack's norm or knowledge is {value!r}{nearest(str(value), known)}")
        if self.norm == "Linf" and not 0 <= self.eps <= 1:
            raise SpecError(f"epsilon must be within [0, 1] pixel units, such as 8/255 (got {self.eps})")
        if self.eps < 0:
            raise SpecError(f"epsilon must not be negative (got {self.eps})")

    def __str__(self) -> str:
        return f"{self.norm} {format_pixels(self.eps)} {self.knowledge}"


@dataclass(frozen=True, kw_only=True)
class Name:
    """A component's name as typed: ``name[-surrogate][:key=value,...]``, not yet resolved.

    Attributes:
        text: Everything before the first colon. Only the registry knows where a surrogate's name starts.
        params: The ``key=value`` pairs in the order given; values are text.
    """

    text: str
    params: tuple[tuple[str, str], ...] = ()


def parse_name(text: str, bare: str = "") -> Name:
    """Parse ``name[:key=value,...]``.

    Args:
        bare: The parameter that the first value sets if it has no key; empty if each needs one.

    Raises:
        SpecError: The name is empty, a parameter has no ``=``, or one is given twice.
    """
    head, colon, tail = text.strip().partition(":")
    head = head.strip()
    if not head:
        raise SpecError(f"{text!r} has no name; expected NAME or NAME:key=value,...")
    params: dict[str, str] = {}
    for position, item in enumerate(tail.split(",") if colon else ()):
        key, equals, value = (part.strip() for part in item.partition("="))
        if bare and position == 0 and key and not equals:
            key, equals, value = bare, "=", key
        if not (key and equals and value):
            raise SpecError(f"{item!r} in {text!r} is not a parameter; expected key=value, such as eps=8/255")
        if key in params:
            raise SpecError(f"parameter {key!r} is given twice in {text!r}")
        params[key] = value
    return Name(text=head, params=tuple(params.items()))


def parse_pixels(value: object) -> Fraction:
    """Return the exact distance, in ``[0, 1]`` pixel units, of ``"8/255"``, ``"0.03"`` or a number.

    Raises:
        ValueError: It is not a number, or outside ``[0, 1]``.
    """
    distance = parse_radius(value)
    if distance > 1:
        hint = f"; did you mean {value}/255?" if distance <= 255 else ""
        raise ValueError(f"{value} is outside [0, 1]; distances are in [0, 1] pixel units, such as 8/255{hint}")
    return distance


def parse_radius(value: object) -> Fraction:
    """Return the exact radius of an L2 ball, in ``[0, 1]`` pixel units, of ``"128/255"``, ``"0.5"`` or a number.

    Raises:
        ValueError: It is not a number, or negative.
    """
    try:
        text = str(value)
        if len(text) > 100 or len(text.lower().partition("e")[2].lstrip("+-")) > 3:  # 1e999999999 takes for ever
            raise ValueError
        radius = value if isinstance(value, Fraction) else Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a distance in pixels; expected a value such as 8/255 or 0.5") from None
    if radius < 0:
        raise ValueError(f"{value} is negative; expected a distance in pixels such as 8/255 or 0.5")
    return radius


def format_pixels(distance: Fraction) -> str:
    """Return a distance as text, over 255 if that is exact: ``"8/255"``."""
    over_255 = distance * 255
    return f"{over_255.numerator}/255" if over_255.denominator == 1 else str(distance)
