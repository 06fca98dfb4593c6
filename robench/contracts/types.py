"""The nouns of robench as frozen data: components, threat models, names as typed, and distances in pixels."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from robench.errors import SpecError, nearest

if TYPE_CHECKING:
    from robench.contracts.constraint import Constraint

Kind = Literal[
    "dataset",
    "model",
    "tuner",
    "adaptation",
    "objective",
    "defence",
    "constraint",
    "attacker",
    "corruption",
    "logger",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

USUAL_NORM: Final = "Linf"
"""The constraint of an attack that names none; tables show it first."""
Norm = Literal["Linf", "L2"]
"""The constraints of attacks with :class:`robench.NormParams`."""
Knowledge = Literal["white-box", "unaware", "transfer", "query", "labels", "nothing"]
KNOWLEDGE: tuple[Knowledge, ...] = get_args(Knowledge)
ASKING = ("query", "labels")
"""Knowledge of attacks that may only ask the target, and whose queries are counted."""
Aware = Literal["yes", "no", "bpda", "exact"]
"""How a white-box attack treats a defence: as an adaptive attacker does; as if it were not there; with an approximation
in the backward pass; or with the gradients that autograd finds."""
AWARE: tuple[Aware, ...] = get_args(Aware)
SAMPLES = 10
"""Answers of a random defence that an attack averages, unless it says ``samples=``."""


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
        group: The heading that ``robench list`` shows it under, such as ``"prompts"``. A group of more than 20 is
            shown as one line, unless all are asked for.
        title: What tables call it, such as ``LoRA``; empty for its name.
        recipe: Whether `defaults` are a recipe as published. Tables then say of a run with other values that it is
            changed.
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
    group: str = ""
    title: str = ""
    recipe: bool = False


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """What the adversary may do: the constraint and radius of the ball, and what it knows of the target.

    Attributes:
        norm: The name of the constraint that bounds a perturbation, per image, such as ``Linf``.
        eps: Its radius, exact, as the constraint counts it: for a norm in ``[0, 1]`` pixel units.
        knowledge: ``white-box`` sees the target's gradients, ``unaware`` those of the target without its defence,
            ``transfer`` only a surrogate's, ``query`` only the target's logits, ``labels`` only the class that it
            predicts. ``nothing`` is a control: it shows what noise or resampling alone costs.
        queries: How often it may ask the target about each image; None for no limit, and where nothing is asked.
        constraint: The constraint itself; None where nobody has looked it up, as robench does for an attack.
    """

    norm: str
    eps: Fraction
    knowledge: Knowledge
    queries: int | None = None
    constraint: Constraint | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.knowledge not in KNOWLEDGE:
            raise SpecError(f"an attack's knowledge is {self.knowledge!r}{nearest(str(self.knowledge), KNOWLEDGE)}")
        if self.eps < 0:
            raise SpecError(f"epsilon must not be negative (got {self.eps})")
        if self.constraint is not None:
            self.constraint.require(self.eps)
        if self.queries is not None and not 0 < self.queries < 2**31:
            raise SpecError(f"queries={self.queries} is no budget; expected a number from 1 to {2**31 - 1:,}")

    @property
    def written(self) -> str:
        """The radius as tables write it, such as ``8/255`` or ``10 pixels``."""
        return format_pixels(self.eps) if self.constraint is None else self.constraint.written(self.eps)

    def __str__(self) -> str:
        limit = "" if self.queries is None else f", at most {self.queries:,} queries"
        return f"{self.norm} {self.written} {self.knowledge}{limit}"


@dataclass(frozen=True, kw_only=True)
class Name:
    """A component's name as typed: ``name[-surrogate][:key=value,...]``, not yet resolved.

    Attributes:
        text: Everything before the first colon. Only the registry knows where a surrogate's name starts.
        params: The ``key=value`` pairs in the order given; values are text.
    """

    text: str
    params: tuple[tuple[str, str], ...] = ()


def require_utf8(text: str) -> None:
    """Refuse what no record can hold: bytes that are no UTF-8, as in the name of a file of another system.

    Raises:
        SpecError: There are some.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SpecError(
            f"{text!r} holds bytes that are no UTF-8 at character {error.start}, so no record can name it; "
            "rename the file or the folder"
        ) from None


def as_utf8(text: str) -> str:
    """Return `text` as a record can hold it: bytes that are no UTF-8 become codes such as ``\\udcff``."""
    return text.encode(errors="backslashreplace").decode()


def parse_name(text: str, bare: str = "") -> Name:
    """Parse ``name[:key=value,...]``.

    Args:
        bare: The parameter that the first value sets if it has no key; empty if each needs one.

    Raises:
        SpecError: The name is empty, a parameter has no ``=``, or one is given twice, or `text` is no UTF-8.
    """
    require_utf8(text)
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
        above, _, below = (text if "/" in text else f"{text}/1").partition("/")
        if "/" in below:
            raise ValueError
        radius = value if isinstance(value, Fraction) else Fraction(above) / Fraction(below)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a distance in pixels; expected a value such as 8/255 or 0.5") from None
    if radius < 0:
        raise ValueError(f"{value} is negative; expected a distance in pixels such as 8/255 or 0.5")
    return radius


def parse_amount(value: object) -> Fraction:
    """Return the exact radius of a constraint with a unit, such as ``10`` pixels, of a number or its text.

    Raises:
        ValueError: It is not a number, or negative.
    """
    try:
        return parse_radius(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a radius; expected a number such as 10") from None


class ShareOfEps(Fraction):
    """A distance as a share of an attack's radius: of ``eps/4`` a quarter."""


def parse_step(value: object) -> Fraction:
    """Return the step size of ``"2/255"`` or a number, or the :class:`ShareOfEps` of ``"eps/4"``.

    Raises:
        ValueError: It is neither, or the share is not above 0.
    """
    typed = str(value).replace(" ", "")
    if not typed.startswith("eps"):
        return parse_radius(value)
    mark, share = typed[3:4], typed[4:]
    with contextlib.suppress(ValueError, ZeroDivisionError):
        number = parse_radius(share or "1")
        if mark in ("", "/", "*") and bool(mark) == bool(share) and number > 0:
            return ShareOfEps(1 / number if mark == "/" else number)
    raise ValueError(f"{value!r} is not a step size; expected a distance such as 2/255, or a share such as eps/4")


def format_pixels(distance: Fraction) -> str:
    """Return a distance as text, over 255 if that is exact: ``"8/255"``."""
    over_255 = distance * 255
    return f"{over_255.numerator}/255" if over_255.denominator == 1 else str(distance)
