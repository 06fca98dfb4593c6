"""The headings of `robench list`, declared as data beside the components of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def group_of(name: str, groups: Mapping[str, Sequence[str]]) -> str:
    """Return the heading among `groups` that has `name`; empty if none has."""
    return next((group for group, names in groups.items() if name in names), "")
