"""What the user typed, with one misspelt name put right."""

from __future__ import annotations

import re


def corrected(typed: str, wrong: str, right: str) -> str:
    """Return all that the user typed with the last `wrong` name before its parameters put `right`."""
    name, colon, params = typed.partition(":")
    before, found, after = name.rpartition(wrong)
    return f"{before}{right}{after}{colon}{params}" if found else right


def corrected_key(typed: str, wrong: str, right: str) -> str:
    """Return all that the user typed with the parameter `wrong` called `right`."""
    return re.sub(rf"(?<=[:,.]){re.escape(wrong)}(?==)", lambda _: right, typed)
