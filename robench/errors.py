"""What can go wrong that is not our bug: each error is one clear line for the person at the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST_CHOICES = 15
"""That an error message lists."""


class RobenchError(Exception):
    """Base of every error a user or a plugin can cause; the CLI prints it on one line and exits with 2."""


class SpecError(RobenchError):
    """A name, a parameter or a flag is not one that robench knows."""


class DataError(RobenchError):
    """Images, labels, weights or records are missing, truncated or not what they claim to be."""


class PluginError(RobenchError):
    """A component broke its contract: wrong shape, NaN, values out of range, or it could not be loaded."""


class BudgetError(PluginError):
    """Adversarial images lie outside their threat model."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice closest to `name`, or a list of choices."""
    known = sorted(set(choices))
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(known) - MOST_CHOICES} more" if len(known) > MOST_CHOICES else ""
    return f"; known: {', '.join(known[:MOST_CHOICES])}{more}" if known else ""
