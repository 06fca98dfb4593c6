"""Tuners made of an adaptation and an objective: which these are, and what a model recommends for them."""

from __future__ import annotations

from typing import Any

from robench.contracts.types import Component


def halves_of(component: Component) -> tuple[str, str] | None:
    """Return the names of a tuner's adaptation and objective; None if it is a class of its own."""
    first, plus, second = component.target.partition("+")
    return (first, second) if plus and ":" not in component.target else None


def recommendations(model: Component, tuner: Component) -> dict[str, Any]:
    """Return the settings that `model` recommends for `tuner`: those for its adaptation, then those for itself."""
    adaptation = (halves_of(tuner) or ("",))[0]
    return {**model.recommends.get(adaptation, {}), **model.recommends.get(tuner.name, {})}
