"""Load plugins one by one, keep the error of each that fails, and import the classes they declare."""

from __future__ import annotations

import contextlib
import gc
import importlib
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from robench.contracts import hookspecs
from robench.contracts.types import KINDS, KNOWLEDGE, Component
from robench.errors import PluginError, nearest

if TYPE_CHECKING:
    from robench.contracts.configured import Configured

GROUP = "robench"
PATIENCE = 10.0
"""Seconds after which robench says which plugin is still loading."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One plugin: an entry point or a single file.

    Attributes:
        name: ``DISTRIBUTION/ENTRY_POINT``, or the name of the file.
        distribution: The package that it came with, or the name of the file.
        version: The version of the package, or the hash of the file.
        components: The components that it declares.
        error: The traceback if it failed to load.
        file: The path as typed after ``--plugin``.
    """

    name: str
    distribution: str
    version: str
    components: tuple[Component, ...] = ()
    error: str | None = None
    file: str | None = None


def load_plugin(point: EntryPoint, manager: pluggy.PluginManager) -> Plugin:
    """Load a plugin from an entry point and register its hooks; an exception becomes its ``error``."""
    distribution = point.dist.name if point.dist else "unknown"
    version = point.dist.version if point.dist else "unknown"
    found = Plugin(name=f"{distribution}/{point.name}", distribution=distribution, version=version)
    return _filled(found, point.load, manager)


def load_file(path: str, manager: pluggy.PluginManager) -> Plugin:
    """Load a plugin that is a single file and register its hooks; an exception becomes its ``error``.

    Raises:
        PluginError: There is no such file.
    """
    from robench.registry.source_files import file_hash, import_file

    file = Path(path)
    if not file.is_file():
        raise PluginError(f"--plugin {path}: there is no such file")
    found = Plugin(name=file.name, distribution=file.name, version=file_hash(file), file=path)
    return _filled(found, lambda: import_file(file), manager)


def _filled(plugin: Plugin, load: Callable[[], ModuleType], manager: pluggy.PluginManager) -> Plugin:
    """Return `plugin` with its components, and its hooks registered; if that fails, with its error."""
    name = plugin.name
    try:
        with _named_if_slow(name, plugin.distribution):
            module = load()
            manager.register(module, name=name)
            if not manager.get_hookcallers(module):
                raise PluginError("it has no function with @robench.hookimpl, such as robench_components")
            hooks: list[Any] = manager.hook.robench_components.get_hookimpls()
            components = tuple(item for hook in hooks if hook.plugin is module for item in hook.function())
        for item in components:
            _check(item)
    except (Exception, SystemExit):
        error = traceback.format_exc()
        if manager.has_plugin(name):
            manager.unregister(name=name)
        return replace(plugin, error=error)
    return replace(plugin, components=components)


def _check(item: object) -> None:
    """Check what a plugin contributes.

    Raises:
        PluginError: It is no component, of no known kind, or has a name that nobody can type.
    """
    if not isinstance(item, Component):
        raise PluginError(f"robench_components returned {item!r}, which is not a robench.Component")
    if item.kind not in KINDS:
        raise PluginError(f"component {item.name!r} has kind={item.kind!r}{nearest(str(item.kind), KINDS)}")
    if not item.name or item.name != item.name.lower() or set(item.name) & set(" :,/+="):
        raise PluginError(
            f"{item.kind} {item.name!r} has a name that cannot be typed; expected lower case with hyphens, such as "
            f"{re.sub('[^a-z0-9]+', '-', item.name.lower()).strip('-') or 'my-component'!r}"
        )


@contextlib.contextmanager
def _named_if_slow(name: str, distribution: str) -> Iterator[None]:
    """Say on standard error which plugin is slow to load; only Ctrl-C can stop an import."""

    def say() -> None:
        message = f"robench: plugin {name} is still loading after {PATIENCE:g} s; Ctrl-C to stop"
        print(f"{message}, `pip uninstall {distribution}` to do without it", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def plugin_manager() -> pluggy.PluginManager:
    """Return a manager that knows robench's hooks."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Collect no garbage within the block: an import makes none, and looking for it takes seconds."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # All objects count as old now; otherwise the next collection would look at them all at once.
            gc.freeze()
            gc.unfreeze()
        if wanted:
            gc.enable()


def load_class(component: Component) -> type[Configured]:
    """Import the class of a component.

    Raises:
        PluginError: It cannot be imported, or does not implement its interface.
    """
    module_name, _, attribute = component.target.partition(":")
    try:
        with _nothing_collected():
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
    value = getattr(loaded, "knowledge", None)
    if component.kind == "attacker" and not (isinstance(value, str) and value in KNOWLEDGE):
        raise PluginError(f"{component.target} has knowledge {value!r}{nearest(str(value), KNOWLEDGE)}")
    return loaded
