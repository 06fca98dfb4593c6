"""Find suites by name: those that plugins bring, and files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robench.errors import PluginError, RobenchError, SpecError, nearest
from robench.registry.registry import Registry
from robench.suite.definition import Suite, read_suite


@dataclass(frozen=True, kw_only=True)
class Shelved:
    """A suite, the file that it was read from, and the plugin that brings it; empty for a file of one's own."""

    suite: Suite
    path: Path
    plugin: str = ""


def shelf(registry: Registry, warn: Callable[[str], None] = lambda message: None) -> list[Shelved]:
    """Return the suites of all plugins, in order of registration.

    Args:
        warn: Is told of suites that cannot be read, and of a name that a plugin before has taken.
    """
    found: dict[str, Shelved] = {}
    for hook in registry.manager.hook.robench_suites.get_hookimpls():
        try:
            returned: Any = hook.function()
            paths = [Path(path) for path in returned]
        except Exception as error:
            warn(f"plugin {hook.plugin_name}: robench_suites failed: {type(error).__name__}: {error}")
            continue
        for path in paths:
            try:
                suite = read_suite(path)
            except RobenchError as error:
                warn(f"plugin {hook.plugin_name}: {error}")
                continue
            if (first := found.get(suite.full_name)) is not None:
                warn(f"plugin {hook.plugin_name}: suite {suite.full_name} is that of plugin {first.plugin}; left out")
            else:
                found[suite.full_name] = Shelved(suite=suite, path=path, plugin=hook.plugin_name)
    return list(found.values())


def find_suite(registry: Registry, text: str) -> Shelved:
    """Return the suite called `text`, ``NAME@VERSION``, or the one in the file of that path.

    Raises:
        SpecError: There is none; the message names the nearest.
        PluginError: A plugin's suite of that name cannot be read.
    """
    if text.endswith(".toml"):
        return Shelved(suite=read_suite(Path(text)), path=Path(text))
    problems: list[str] = []
    known = {each.suite.full_name: each for each in shelf(registry, problems.append)}
    if text in known:
        return known[text]
    versions = [name for name in known if name.partition("@")[0] == text.partition("@")[0]]
    if versions:
        raise SpecError(f"unknown suite {text!r}; expected its version too: {' or '.join(versions)}")
    if problems:
        raise PluginError(f"unknown suite {text!r}{nearest(text, known)} ({problems[0]})")
    raise SpecError(f"unknown suite {text!r}{nearest(text, known)}; a file of your own ends in .toml")
