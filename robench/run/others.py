"""The other datasets and the corruptions of a run: as typed with the number of images, and as a record states them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from robench.contracts.corruption import Corruption
from robench.errors import SpecError
from robench.records.corrupted import MOST_SCORES
from robench.records.record import ScoredSpec
from robench.registry.registry import Registry
from robench.registry.resolved import Resolved
from robench.run.specs import component_spec

Size = int | Literal["all"]


def without_n(text: str) -> tuple[str, Size | None]:
    """Return another dataset or a corruption as typed without its ``n=``, and that number; None without one."""
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


def resolve_corruptions(registry: Registry, typed: Sequence[str]) -> list[tuple[Resolved, Size | None]]:
    """Return the components that were typed, each with the number of images that was typed as ``n=``."""
    asked = [without_n(text) for text in typed]
    return [(registry.resolve("corruption", text), n) for text, n in asked]


def within(part: Resolved, n: Size | None, available: int) -> int | None:
    """Return how many images are corrupted; None for all that the run scores.

    Raises:
        SpecError: There are fewer images, or the component names no corruption, or too many.
    """
    built: Corruption = part.build()
    scores = len(built.names()) * len(built.severities())
    if not 0 < scores <= MOST_SCORES:
        raise SpecError(
            f"corruption {part.label} has {len(built.names())} corruptions at {len(built.severities())} severities; "
            f"expected 1 to {MOST_SCORES} in all"
        )
    if n is None or n == "all":
        return None
    if not 0 < n <= available:
        raise SpecError(f"corruption {part.label} asks for n={n} images; expected 1 to {available}, those of the run")
    return n


def described(label: str, corruption: Corruption, n: int) -> str:
    """Return what will be scored, in words."""
    names, severities = corruption.names(), corruption.severities()
    listed = names[0] if len(names) == 1 else f"{len(names)} corruptions"
    return f"{label}: {listed} at severities {', '.join(map(str, severities))}, {n} images each"
