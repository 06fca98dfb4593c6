"""What the user typed, with one misspelt name put right, and what an unknown attack was meant to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import SequenceMatcher

from robench.errors import nearest


def corrected(typed: str, wrong: str, right: str) -> str:
    """Return all that the user typed with the last `wrong` name before its parameters put `right`."""
    name, colon, params = typed.partition(":")
    before, found, after = name.rpartition(wrong)
    return f"{before}{right}{after}{colon}{params}" if found else right


def corrected_key(typed: str, wrong: str, right: str) -> str:
    """Return all that the user typed with the parameter `wrong` called `right`."""
    return re.sub(rf"(?<=[:,.]){re.escape(wrong)}(?==)", lambda _: right, typed)


def unknown_attack(text: str, known: Collection[str], is_model: Callable[[str], bool]) -> tuple[str, str]:
    """Return the part of a wrong attack name that is unknown, and a hint at the name that was meant.

    An attack's own name may have hyphens, so that each may be where a surrogate begins.

    Args:
        text: As typed, without parameters.
        known: The names of attacks.
        is_model: Whether there is a model of that name.
    """
    ends = [at for at, letter in enumerate(text) if letter == "-"]
    rests = [text[at:] for at in ends if all(map(is_model, text[at + 1 :].split("+")))]
    if rests:
        return text.removesuffix(rests[0]), nearest(text, {name + rest for name in known for rest in rests})
    typed = text.partition("-")[0]
    if _closeness(text, known) >= _closeness(typed, known):
        return text, nearest(text, known)
    return typed, nearest(typed, known, lambda name: name + text[len(typed) :])


def _closeness(name: str, known: Collection[str]) -> float:
    return max((SequenceMatcher(None, each, name).ratio() for each in known), default=0.0)
