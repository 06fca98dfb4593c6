"""Find components, resolve the names users type, and check every parameter before anything heavy starts."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from robench import hookspecs
from robench.errors import PluginError, SpecError, nearest
from robench.types import KINDS, Component, Kind, Name, ThreatModel, parse_name

if TYPE_CHECKING:
    from robench.interfaces import Configured
    from robench.params import Params

GROUP = "robench"
SURROGATE_PREFIX = "surrogate."


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One entry point: where it came from, and why it failed if it did."""

    name: str
    distribution: str
    version: str
    components: tuple[Component, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A component with validated parameters, ready to be built; ``name`` is the shortest that means it alone."""

    name: str
    component: Component
    plugin: Plugin
    params: Params

    @property
    def label(self) -> str:
        """The name and the parameters that differ from the component's defaults, in order of declaration."""
        baseline = type(self.params).read(dict(self.component.defaults), self.component.name).as_dict()
        given = self.params.model_fields_set
        changed = [f"{k}={v}" for k, v in self.params.as_dict().items() if k in given and v != baseline[k]]
        return self.name + (":" + ",".join(changed) if changed else "")

    def build(self) -> Any:
        """Instantiate the component.

        Raises:
            PluginError: The class misses a method of its interface; the message names it.
        """
        try:
            return load_class(self.component)(self.params)
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


class Registry:
    """All components by kind and name, and the hooks of the plugins they came with."""

    def __init__(self, plugins: Iterable[Plugin], manager: pluggy.PluginManager | None = None) -> None:
        self.plugins = tuple(plugins)
        self.manager = manager or plugin_manager()

    def components(self, kind: Kind) -> list[tuple[Plugin, Component]]:
        """Return the components of one kind in order of registration."""
        return [(plugin, item) for plugin in self.plugins for item in plugin.components if item.kind == kind]

    def displayed_name(self, plugin: Plugin, component: Component) -> str:
        """Return the shortest name that means `component` alone: ``dist/name`` where two plugins collide."""
        rivals = [item for _, item in self.components(component.kind) if item.name == component.name]
        return component.name if len(rivals) == 1 else f"{plugin.distribution}/{component.name}"

    def names(self, kind: Kind) -> list[str]:
        """Return the names by which the components of one kind can be asked for."""
        return [self.displayed_name(plugin, item) for plugin, item in self.components(kind)]

    def find(self, kind: Kind, name: str) -> tuple[Plugin, Component]:
        """Return the component that `name`, or ``dist/name``, stands for.

        Raises:
            SpecError: No such name, with the nearest one; or a name that two plugins contribute.
        """
        distribution, _, bare = name.rpartition("/")
        found = [
            (plugin, item)
            for plugin, item in self.components(kind)
            if item.name == bare and distribution in ("", plugin.distribution)
        ]
        if not found:
            raise SpecError(f"unknown {kind} {name!r}{nearest(name, self.names(kind))}{self._failures()}")
        if len(found) > 1:
            choices = " or ".join(f"{plugin.distribution}/{bare}" for plugin, _ in found)
            raise SpecError(f"{kind} {name!r} is contributed by {len(found)} plugins; write {choices}")
        return found[0]

    def _failures(self) -> str:
        failed = [plugin.name for plugin in self.plugins if plugin.error]
        return f" (plugins that failed to load: {', '.join(failed)}; see `robench plugins`)" if failed else ""

    def resolve(self, kind: Kind, text: str, extra: Mapping[str, Any] | None = None) -> Resolved:
        """Resolve ``name[:key=value,...]``; values in `extra` apply where `text` sets none.

        Raises:
            SpecError: An unknown name or parameter, or a value of the wrong type.
        """
        return self._resolve(kind, parse_name(text), extra or {})

    def _resolve(self, kind: Kind, name: Name, extra: Mapping[str, Any]) -> Resolved:
        plugin, component = self.find(kind, name.text)
        values = {**component.defaults, **extra, **dict(name.params)}
        params = load_class(component).Params.read(values, f"{kind} {name.text!r}")
        shown = self.displayed_name(plugin, component)
        return Resolved(name=shown, component=component, plugin=plugin, params=params)

    def resolve_attack(self, text: str, extra: Mapping[str, Any] | None = None) -> ResolvedAttack:
        """Resolve ``name[-surrogate][:key=value,...]``.

        ``n=1000`` sets the number of images for any attack; ``surrogate.KEY=value`` is a parameter of the surrogate.

        Raises:
            SpecError: An unknown attack, surrogate or parameter, or a value of the wrong type.
        """
        name = parse_name(text)
        attack_name, surrogate_name = self._split_surrogate(name.text)
        own = tuple((k, v) for k, v in name.params if k != "n" and not k.startswith(SURROGATE_PREFIX))
        theirs = tuple((k.removeprefix(SURROGATE_PREFIX), v) for k, v in name.params if k.startswith(SURROGATE_PREFIX))
        attack = self._resolve("attacker", Name(text=attack_name, params=own), extra or {})
        if surrogate_name is None and theirs:
            key = SURROGATE_PREFIX + theirs[0][0]
            raise SpecError(f"{text!r} sets {key} but names no surrogate; expected {attack_name}-SURROGATE")
        surrogate = None
        if surrogate_name is not None:
            surrogate = self._resolve("model", Name(text=surrogate_name, params=theirs), {})
        return ResolvedAttack(
            name=attack.name,
            component=attack.component,
            plugin=attack.plugin,
            params=attack.params,
            surrogate=surrogate,
            n=_positive(dict(name.params).get("n"), text),
        )

    def _split_surrogate(self, text: str) -> tuple[str, str | None]:
        known = set(self.names("attacker")) | {item.name for _, item in self.components("attacker")}
        prefixes = [name for name in known if text == name or text.startswith(name + "-")]
        if not prefixes:
            typed = text.partition("-")[0]
            raise SpecError(f"unknown attack {typed!r}{nearest(typed, known)}{self._failures()}")
        attack = max(prefixes, key=len)
        return attack, text[len(attack) + 1 :] or None


def _positive(value: str | None, text: str) -> int | None:
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise SpecError(f"n={value} in {text!r} is not a number of images; expected a positive integer")
    return int(value)


def load_class(component: Component) -> type[Configured]:
    """Import the class a component declares.

    Raises:
        PluginError: It cannot be imported, or does not implement its interface.
    """
    module_name, _, attribute = component.target.partition(":")
    try:
        loaded = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise PluginError(
            f"{component.kind} {component.name!r} cannot be loaded from {component.target}: "
            f"{type(error).__name__}: {error}"
        ) from error
    import robench

    interface: type[Configured] = getattr(robench, component.kind.capitalize())
    if not (isinstance(loaded, type) and issubclass(loaded, interface)):
        raise PluginError(f"{component.target} does not implement {interface.__name__}")
    return loaded


def discover(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Load every plugin of the ``robench`` entry-point group, one by one, and keep each one's failure.

    pluggy's own loader lets one broken plugin crash the host and drops the second of two with one name.
    """
    manager = plugin_manager()
    found = entry_points(group=GROUP) if points is None else points
    return Registry([load_plugin(point, manager) for point in found], manager)


def load_plugin(point: EntryPoint, manager: pluggy.PluginManager) -> Plugin:
    """Load one entry point and register its hooks; an exception becomes the plugin's ``error``."""
    distribution = point.dist.name if point.dist else "unknown"
    version = point.dist.version if point.dist else "unknown"
    name = f"{distribution}/{point.name}"
    try:
        module = point.load()
        manager.register(module, name=name)
        hooks: list[Any] = manager.hook.robench_components.get_hookimpls()
        components = tuple(item for hook in hooks if hook.plugin is module for item in hook.function())
        for item in components:
            if not isinstance(item, Component) or item.kind not in KINDS:
                raise PluginError(f"robench_components returned {item!r}, which is not a robench.Component")
    except (Exception, SystemExit):
        error = traceback.format_exc()
        if manager.has_plugin(name):
            manager.unregister(name=name)
        return Plugin(name=name, distribution=distribution, version=version, error=error)
    return Plugin(name=name, distribution=distribution, version=version, components=components)


def plugin_manager() -> pluggy.PluginManager:
    """Return a manager that knows robench's hooks."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager
