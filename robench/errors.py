"""Errors that users or plugins can cause. Each is one clear line at the terminal; all others are bugs of robench."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

MOST_CHOICES = 15
"""Choices that an error message lists."""


class RobenchError(Exception):
    """Base of all errors that a user or a plugin can cause. The command line prints one line and exits with 2."""


class SpecError(RobenchError):
    """robench does not know a name, a parameter or a value of one."""


class DataError(RobenchError):
    """Images, labels, weights or records are missing, damaged or not what they should be."""


class PluginError(RobenchError):
    """A component broke its contract, for example by a wrong shape or NaN, or it could not be loaded."""


class BudgetError(PluginError):
    """Adversarial images are outside the ball of their threat model, or no 8-bit image is inside."""


def nearest(name: str, choices: Iterable[str], whole: Callable[[str], str] = str) -> str:
    """Return ``"; did you mean 'x'?"`` with the choice closest to `name`, or a list of choices if none is close.

    Args:
        whole: Completes the choice to all that the user should type, such as ``pgd`` to ``pgd-resnet20``.
    """
    known = sorted(set(choices))
    if close := get_close_matches(name, known, n=3, cutoff=0.5):
        closest = max(close, key=lambda each: sorted(each) == sorted(name))  # two letters in the wrong order
        return f"; did you mean {whole(closest)!r}?"
    more = f" and {len(known) - MOST_CHOICES} more" if len(known) > MOST_CHOICES else ""
    return f"; known: {', '.join(known[:MOST_CHOICES])}{more}" if known else ""
