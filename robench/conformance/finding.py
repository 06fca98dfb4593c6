"""The result of one rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule, whether it is kept, and what was seen.

    Attributes:
        traceback: Where the component raised an error, if it did.
    """

    rule: str
    kept: bool
    seen: str
    traceback: str = ""


def rule(name: str, kept: bool, seen: str, otherwise: str = "") -> Finding:
    """Return the result of the rule called `name`.

    Args:
        seen: What was seen; if a text `otherwise` is given, only where the rule is kept.
        otherwise: What was seen where the rule is broken.
    """
    return Finding(rule=name, kept=bool(kept), seen=seen if kept or not otherwise else otherwise)
