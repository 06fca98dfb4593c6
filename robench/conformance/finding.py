"""What one rule of the contract came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule, whether it is kept, and what was seen."""

    rule: str
    kept: bool
    seen: str


def rule(name: str, kept: bool, seen: str) -> Finding:
    """Return what the rule called `name` came to."""
    return Finding(rule=name, kept=bool(kept), seen=seen)
