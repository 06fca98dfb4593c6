"""The other datasets of a run: as typed with the number of their images, and as a record states them."""

from __future__ import annotations

from typing import Literal

from robench.errors import SpecError
from robench.records.record import ScoredSpec
from robench.registry.resolved import Resolved
from robench.run.specs import component_spec

Size = int | Literal["all"]


def without_n(text: str) -> tuple[str, Size | None]:
    """Return another dataset as typed without its ``n=``, and that number of images; None without one."""
    head, _, tail = text.partition(":")
    items = tail.split(",") if tail else []
    found = [item.partition("=")[2].strip() for item in items if item.partition("=")[0].strip() == "n"]
    rest = [item for item in items if item.partition("=")[0].strip() != "n"]
    if len(found) > 1 or (found and found[0] != "all" and not (found[0].isascii() and found[0].isdigit())):
        raise SpecError(f"n={found[-1]} in {text!r} is not a number of images; expected one such as 500, or all")
    size: Size | None = None if not found else "all" if found[0] == "all" else int(found[0])
    return head + (f":{','.join(rest)}" if rest else ""), size


def scored_spec(resolved: Resolved, n: int | None) -> ScoredSpec:
    """Return another dataset as a record states it, of which `n` images are scored."""
    return ScoredSpec(**dict(component_spec(resolved)), n=n)
