"""Tell plugins about a run without letting one of them break it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy


def call_hook(hook: pluggy.HookCaller, warn: Callable[[str], None], **about: Any) -> None:
    """Call every implementation of `hook`; an error of one becomes a warning, and the others are still called.

    Args:
        warn: Takes one line with the plugin that failed and its error.
        about: The arguments of the hook.
    """
    for implementation in reversed(hook.get_hookimpls()):
        try:
            implementation.function(*(about[name] for name in implementation.argnames))
        except Exception as error:  # a bug of the plugin, or a server of its own that does not answer
            is_file = "/" in implementation.plugin_name
            name = implementation.plugin_name if is_file else type(implementation.plugin).__name__
            warn(f"{name} could not be told of {hook.name.removeprefix('robench_')}: {type(error).__name__}: {error}")
