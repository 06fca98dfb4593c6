"""Tell plugins how a run goes without letting one of them harm it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy


def call_hook(hook: pluggy.HookCaller, warn: Callable[[str], None], **about: Any) -> None:
    """Call every implementation of `hook`; what one raises is a warning, and the others hear it all the same.

    Args:
        warn: Hears which plugin failed and why.
        about: The arguments of the hook.
    """
    for heard in reversed(hook.get_hookimpls()):
        try:
            heard.function(*(about[name] for name in heard.argnames))
        except Exception as error:  # a plugin's own bug, or its server that does not answer
            name = heard.plugin_name if "/" in heard.plugin_name else type(heard.plugin).__name__
            warn(f"{name} could not be told of {hook.name.removeprefix('robench_')}: {type(error).__name__}: {error}")
