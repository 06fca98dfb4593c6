"""Find the constraint that an attack or a threat model names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from robench.contracts.types import USUAL_NORM, Component, ThreatModel
from robench.errors import PluginError, SpecError, nearest

if TYPE_CHECKING:
    from robench.contracts.configured import Configured
    from robench.contracts.constraint import Constraint
    from robench.registry.discovery import Plugin
    from robench.registry.registry import Registry
    from robench.registry.resolved import Resolved


def written_name(component: Component) -> str:
    """Return the name of a constraint as records keep it, such as ``Linf``."""
    return component.title or component.name


def _all(registry: Registry) -> list[tuple[Plugin, Component]]:
    return registry.components("constraint")


def require_constraint(registry: Registry, component: Component, loaded: type[Configured]) -> type[Configured]:
    """Return the class of a component, unless it is an attack or a defence whose ``norm`` is no constraint.

    Raises:
        PluginError: It is none; the message names the nearest.
    """
    norm, known = getattr(loaded, "norm", USUAL_NORM), [written_name(item) for _, item in _all(registry)]
    judged = component.kind in ("attacker", "defence") and bool(known)  # without any, those installed judge
    if judged and norm not in known:
        raise PluginError(f"{component.target} has norm {norm!r}{nearest(str(norm), known)}")
    return loaded


def find_constraint(registry: Registry, norm: str) -> Resolved:
    """Return the constraint that is written `norm`.

    Raises:
        SpecError: There is none; the message names the nearest.
    """
    found = [registry.displayed_name(plugin, item) for plugin, item in _all(registry) if written_name(item) == norm]
    if not found:
        known = [written_name(item) for _, item in _all(registry)]
        raise SpecError(f"unknown constraint norm={norm}{nearest(norm, known)}")
    if len(found) > 1:
        raise SpecError(f"constraint {norm} is contributed as {' and '.join(found)}; uninstall one of these plugins")
    return registry.resolve("constraint", found[0])


def constraint_of(threat: ThreatModel) -> Constraint:
    """Return the constraint of `threat`; one that nobody looked up is found among those that are installed.

    Raises:
        SpecError: There is none of its name.
    """
    return _installed(threat.norm) if threat.constraint is None else threat.constraint


@cache
def _installed(name: str) -> Constraint:
    from robench.registry.registry import discover

    found: Constraint = find_constraint(discover(broken_files=True), name).build()
    return found
