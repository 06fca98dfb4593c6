"""What may be set for any attack: how many images, how many answers are averaged, and how it treats a defence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robench.contracts.types import AWARE, Knowledge
from robench.errors import SpecError, nearest

OF_ANY_ATTACK = ("n", "samples", "aware")
"""Parameters of every attack, unless it has one of that name itself."""
MOST_SAMPLES = 10_000


def settings_of(given: Mapping[str, str], text: str, knowledge: Knowledge, *, transferred: bool) -> dict[str, Any]:
    """Return the values of ``OF_ANY_ATTACK`` that are `given`.

    Args:
        text: The attack as typed.
        knowledge: What the attack knows of its network.
        transferred: Whether it is made on a surrogate, which has no defence.

    Raises:
        SpecError: A value is wrong, or does not suit the attack.
    """
    found: dict[str, Any] = {}
    for name, what in (("n", "images"), ("samples", "answers to average")):
        if (value := given.get(name)) is not None:
            if not value.isascii() or not value.isdigit() or int(value) == 0:
                raise SpecError(f"{name}={value} in {text!r} is not a number of {what}; expected a positive integer")
            found[name] = int(value)
    if found.get("samples", 1) > MOST_SAMPLES:
        raise SpecError(f"samples={found['samples']} in {text!r} is too many; expected at most {MOST_SAMPLES:,}")
    if (aware := given.get("aware")) is not None:
        if aware not in AWARE:
            raise SpecError(f"aware={aware} in {text!r} is not known{nearest(aware, AWARE)}")
        if aware != "yes" and (transferred or knowledge != "white-box"):
            why = "is made on a surrogate, which has no defence" if transferred else "takes no gradients of the target"
            raise SpecError(f"{text!r} sets aware={aware}, but it {why}; leave aware out")
        found["aware"] = aware
    return found
