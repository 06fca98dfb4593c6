"""Tuners made of an adaptation and an objective: which these are, and what a model recommends for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robench.contracts.types import Component
from robench.errors import SpecError

if TYPE_CHECKING:
    from robench.contracts.params import Params


def halves_of(component: Component) -> tuple[str, str] | None:
    """Return the names of a tuner's adaptation and objective; None if it is a class of its own."""
    first, plus, second = component.target.partition("+")
    return (first, second) if plus and ":" not in component.target else None


def recommendations(model: Component, tuner: Component) -> dict[str, Any]:
    """Return the settings that `model` recommends for `tuner`: those for its adaptation, then those for itself."""
    adaptation = (halves_of(tuner) or ("",))[0]
    return {**model.recommends.get(adaptation, {}), **model.recommends.get(tuner.name, {})}


def defaults_of(adaptation: Component, objective: Component) -> dict[str, Any]:
    """Return the defaults of the tuner of both: their own under the names of their halves, and what one recommends."""
    own = {f"{half.kind}.{key}": value for half in (adaptation, objective) for key, value in half.defaults.items()}
    return {**own, **adaptation.recommends}


def settled(
    kind: type[Params],
    defaults: Mapping[str, Any],
    recommended: Mapping[str, Any],
    given: Sequence[tuple[str, str]],
    typed: str,
) -> dict[str, Any]:
    """Return the values of a component's parameters under their own names; what is `given` wins.

    Raises:
        SpecError: A parameter is given twice, under two of its names, or under a name that two have.
    """
    own = {kind.canonical(key): value for key, value in given}
    if len(own) < len(given):
        twice = next(key for key, _ in given if "." in key)
        raise SpecError(f"parameter {twice.partition('.')[2]!r} is given twice in {typed!r}")
    settings = {kind.canonical(key): value for each in (defaults, recommended) for key, value in each.items()}
    return {**settings, **own}
