"""Find components by the names that users type, and check every parameter before anything heavy starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

import pluggy

from robench.contracts.types import Component, Kind, Name, parse_name
from robench.errors import PluginError, SpecError, nearest
from robench.registry.constraints import require_constraint
from robench.registry.corrections import corrected, corrected_key, unknown_attack
from robench.registry.discovery import GROUP, Plugin, load_class, load_file, load_plugin, plugin_manager
from robench.registry.of_any_attack import OF_ANY_ATTACK, settings_of
from robench.registry.products import defaults_of, halves_of, settled
from robench.registry.resolved import SURROGATE_PREFIX, Resolved, ResolvedAttack

if TYPE_CHECKING:
    from robench.contracts.attacker import Attacker
    from robench.contracts.configured import Configured
    from robench.contracts.tuning import Adaptation, Objective

FILES = "ROBENCH_PLUGINS"
"""Environment variable with the paths of single-file plugins. ``--plugin`` adds to it, so worker processes see them."""
HALVES: tuple[Kind, Kind] = ("adaptation", "objective")
"""Of a tuner ``ADAPTATION+OBJECTIVE``."""


class Registry:
    """All components by kind and name, and the hooks of their plugins."""

    def __init__(self, plugins: Iterable[Plugin], manager: pluggy.PluginManager | None = None) -> None:
        self.plugins = tuple(plugins)
        self.manager = manager or plugin_manager()
        attacks, models = (
            {item.name: plugin for plugin, item in self.components(kind)} for kind in ("attacker", "model")
        )
        self.plugins = tuple(self._without_taken_names(plugin, attacks, models) for plugin in self.plugins)

    def _without_taken_names(self, plugin: Plugin, attacks: dict[str, Plugin], models: dict[str, Plugin]) -> Plugin:
        """Return `plugin`, or a failed one if it calls an attack as another plugin's attack on a surrogate.

        Such an attack would silently take the place of the other.
        """
        for name in (item.name for item in plugin.components if item.kind == "attacker"):
            for other, owner in attacks.items():
                surrogate = name.removeprefix(f"{other}-")
                if surrogate in models and surrogate != name and plugin.distribution != owner.distribution:
                    what = f"means attack {other!r} on surrogate {surrogate!r}; give the attack another name"
                    if self.manager.has_plugin(plugin.name):
                        self.manager.unregister(name=plugin.name)
                    return replace(plugin, components=(), error=f"it calls an attack {name!r}, which {what}")
        return plugin

    def components(self, kind: Kind) -> list[tuple[Plugin, Component]]:
        """Return the components of one kind with their plugins, in order of registration."""
        return [(plugin, item) for plugin in self.plugins for item in plugin.components if item.kind == kind]

    def displayed_name(self, plugin: Plugin, component: Component) -> str:
        """Return the shortest name that means only `component`: ``DISTRIBUTION/NAME`` if two plugins use the name."""
        rivals = [item for _, item in self.components(component.kind) if item.name == component.name]
        return component.name if len(rivals) <= 1 else f"{plugin.distribution}/{component.name}"

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the components of one kind, as users type them."""
        return [self.displayed_name(plugin, item) for plugin, item in self.components(kind)]

    def find(self, kind: Kind, name: str, whole: Callable[[str], str] = str) -> tuple[Plugin, Component]:
        """Return the component called `name`, or ``DISTRIBUTION/NAME``, and its plugin.

        Args:
            whole: Completes a suggested name to all that the user should type.

        Raises:
            SpecError: The name is unknown, or two plugins use it. The message names the nearest, or both.
        """
        if kind == "tuner" and "+" in name:
            return self._product(name, whole)
        distribution, _, bare = name.rpartition("/")
        found = [
            (plugin, item)
            for plugin, item in self.components(kind)
            if item.name == bare.lower() and distribution in ("", plugin.distribution)
        ] or self._of_family(kind, bare)
        if not found:
            if kind == "tuner" and name in {*self.names("adaptation"), *self.names("objective")}:
                raise SpecError(f"{name!r} is half a tuner; expected ADAPTATION+OBJECTIVE, such as lora+tecoa")
            raise SpecError(f"unknown {kind} {name!r}{nearest(name, self.names(kind), whole)}{self._failures()}")
        if len(found) > 1:
            choices = " or ".join(f"{plugin.distribution}/{bare}" for plugin, _ in found)
            raise SpecError(f"{kind} {name!r} is contributed by {len(found)} plugins; write {choices}")
        plugin, component = found[0]
        if (halves := halves_of(component)) is not None:
            product = self._product("+".join(halves))[1]
            component = replace(
                component,
                defaults={**product.defaults, **component.defaults},
                reference=component.reference or product.reference,
            )
        return plugin, component

    def knows(self, kind: Kind, name: str) -> bool:
        """Return whether there is a component of this name."""
        try:
            self.find(kind, name)
        except SpecError:
            return False
        return True

    def _of_family(self, kind: Kind, name: str) -> list[tuple[Plugin, Component]]:
        """Return the component whose family `name` belongs to, with that name, and the rest of it as the parameter."""
        return [
            (plugin, replace(item, name=name, defaults={**item.defaults, item.family: name[len(item.name) + 1 :]}))
            for plugin, item in self.components(kind)
            if item.family and name.startswith(f"{item.name}-") and name != f"{item.name}-"
        ]

    def _failures(self) -> str:
        failed = [plugin.name for plugin in self.plugins if plugin.error]
        return f" (plugins that failed to load: {', '.join(failed)}; see `robench plugins`)" if failed else ""

    def resolve(self, kind: Kind, text: str, extra: Mapping[str, Any] | None = None) -> Resolved:
        """Resolve ``name[:key=value,...]``. Values in `extra` apply to parameters that `text` does not set.

        Raises:
            SpecError: A name or a parameter is unknown, or a value is wrong.
        """
        head = text.partition(":")[0].strip()
        bare = self.find(kind, head)[1].bare if self.knows(kind, head) else ""
        return self._resolve(kind, parse_name(text, bare), extra or {}, text)

    def build(self, kind: Kind, text: str) -> Any:
        """Return an instance of ``name[:key=value,...]``; it raises what :meth:`resolve` does."""
        return self.resolve(kind, text).build()

    def _resolve(self, kind: Kind, name: Name, extra: Mapping[str, Any], typed: str) -> Resolved:
        """Resolve `name`, a part of what the user `typed`."""
        plugin, component = self.find(kind, name.text, partial(corrected, typed, name.text))
        implementation = self.implementation(component)
        values = settled(implementation.Params, component.defaults, extra, name.params, typed)
        params = implementation.Params.read(values, f"{kind} {name.text!r}", partial(corrected_key, typed))
        return Resolved(
            name=self.displayed_name(plugin, component),
            component=component,
            plugin=plugin,
            implementation=implementation,
            params=params,
            origins=self._origins(plugin, component),
            recommended=extra,
        )

    def again(self, kind: Kind, name: str, params: Mapping[str, Any], label: str) -> Resolved:
        """Return a recorded component with the parameters that it had, under its label there.

        Raises:
            SpecError: The name or a parameter is unknown here, or a value is wrong.
        """
        from robench.contracts.params import is_later

        if kind == "model" and "+" in name:
            from robench.registry.ensemble import ensemble

            tail = label.removeprefix(name)
            return ensemble([self.again(kind, each, params.get(each, {}), each + tail) for each in name.split("+")])
        fields = self.implementation(self.find(kind, name)[1]).Params.model_fields
        absent = {key: field.default for key, field in fields.items() if is_later(field) and key not in params}
        return replace(self._resolve(kind, Name(text=name), {**absent, **params}, label), recorded_as=label)

    def implementation(self, component: Component) -> type[Configured]:
        """Return the class of `component`; for a tuner ``ADAPTATION+OBJECTIVE``, make it of these.

        Raises:
            SpecError: The adaptation or the objective is unknown.
            PluginError: A class cannot be imported, or does not implement its interface.
        """
        halves = halves_of(component)
        if halves is None:
            return require_constraint(self, component, load_class(component))
        from robench.train.product import product

        adaptation, objective = (load_class(self.find(*half)[1]) for half in zip(HALVES, halves, strict=True))
        return product(component.target, cast("type[Adaptation]", adaptation), cast("type[Objective]", objective))

    def _origins(self, plugin: Plugin, component: Component) -> dict[str, tuple[Plugin, Component]]:
        found = {f"{component.kind} {component.name}": (plugin, component)}
        for kind, half in zip(HALVES, halves_of(component) or (), strict=False):
            found[f"{kind} {half}"] = self.find(kind, half)
        return found

    def _product(self, name: str, whole: Callable[[str], str] = str) -> tuple[Plugin, Component]:
        """Return the tuner ``ADAPTATION+OBJECTIVE``."""
        first, _, second = name.partition("+")
        plugin, adaptation = self.find("adaptation", first, lambda better: whole(f"{better}+{second}"))
        _, objective = self.find("objective", second, lambda better: whole(f"{first}+{better}"))
        tuner = Component(
            kind="tuner",
            name=name,
            target=name,
            summary=f"{adaptation.summary}; {objective.summary}",
            reference="; ".join(part.reference for part in (adaptation, objective) if part.reference),
            defaults=defaults_of(adaptation, objective),
        )
        return plugin, tuner

    def resolve_attack(self, text: str, extra: Mapping[str, Any] | None = None) -> ResolvedAttack:
        """Resolve ``name[-surrogate][:key=value,...]``.

        ``surrogate.KEY=value`` is a parameter of the surrogate; any attack has ``n``, ``samples`` and ``aware``.

        Raises:
            SpecError: An attack, a surrogate, a constraint or a parameter is unknown, or a value is wrong.
        """
        name = parse_name(text)
        attack_name, surrogate_name = self._split_surrogate(name.text)
        kind = self.implementation(self.find("attacker", attack_name)[1])
        of_any = {k: v for k, v in name.params if k in OF_ANY_ATTACK and k not in kind.Params.model_fields}
        own = tuple((k, v) for k, v in name.params if k not in of_any and not k.startswith(SURROGATE_PREFIX))
        theirs = tuple((k.removeprefix(SURROGATE_PREFIX), v) for k, v in name.params if k.startswith(SURROGATE_PREFIX))
        attack = self._resolve("attacker", Name(text=attack_name, params=own), extra or {}, text)
        if surrogate_name is None and theirs:
            key = SURROGATE_PREFIX + theirs[0][0]
            raise SpecError(f"{text!r} sets {key} but names no surrogate; expected {attack_name}-SURROGATE")
        surrogate = None if surrogate_name is None else self._surrogate(surrogate_name, theirs, text)
        settings = settings_of(of_any, text, cast("type[Attacker]", kind).knowledge, transferred=surrogate is not None)
        return ResolvedAttack(**vars(attack), surrogate=surrogate, **settings).bound(self)

    def _surrogate(self, text: str, params: tuple[tuple[str, str], ...], typed: str) -> Resolved:
        members = [self._resolve("model", Name(text=name, params=params), {}, typed) for name in text.split("+")]
        if len(members) == 1:
            return members[0]
        from robench.registry.ensemble import ensemble

        return ensemble(members)

    def _split_surrogate(self, text: str) -> tuple[str, str | None]:
        known = set(self.names("attacker")) | {item.name for _, item in self.components("attacker")}
        prefixes = [name for name in known if text == name or text.startswith(name + "-")]
        if not prefixes:
            typed, hint = unknown_attack(text, known, lambda name: self.knows("model", name))
            raise SpecError(f"unknown attack {typed!r}{hint}{self._failures()}")
        attack = max(prefixes, key=len)
        return attack, text[len(attack) + 1 :] or None


def discover(
    points: Iterable[EntryPoint] | None = None, *, files: Iterable[str] = (), broken_files: bool = False
) -> Registry:
    """Load every plugin of the ``robench`` entry-point group, and every file that ``ROBENCH_PLUGINS`` names.

    An entry point that fails is kept with its error. pluggy's own loader would let one broken plugin crash robench, and
    would drop the second of two plugins of the same name.

    Args:
        points: Entry points to use instead of the installed ones.
        files: More files, besides those of the environment.
        broken_files: Also keep a file that fails, which is an error otherwise, because it was asked for by name.

    Raises:
        PluginError: A file is missing, or it fails and `broken_files` is False.
    """
    manager = plugin_manager()
    named = [*(path for path in os.environ.get(FILES, "").split(os.pathsep) if path), *files]
    plugins = [load_plugin(point, manager) for point in (entry_points(group=GROUP) if points is None else points)]
    plugins += [load_file(path, manager) for path in dict.fromkeys(named)]
    registry = Registry(plugins, manager)
    for plugin in registry.plugins:
        if plugin.error and (file := plugin.file) and not broken_files:
            why = plugin.error.strip().splitlines()[-1]
            raise PluginError(f"--plugin {file}: {why} (`robench plugins --plugin {file}` has the traceback)")
    return registry
