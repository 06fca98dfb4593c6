"""What the values of a record may be: the bounds within which every reader can show them.

A record may come from a stranger. Values outside these bounds are refused where the record is read, so that no reader
needs to expect them.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

MOST_BYTES = 16_000_000
"""Largest file of a record. One of 10,000 images under two attacks takes 20 KB."""
MOST_IMAGES = 2**22
"""Most images that a record scores."""
MOST_CLASSES = 2**16
"""Most classes; labels are kept in 16 bits."""
MOST_NUMBER = 2**63 - 1
FUTURE = timedelta(days=1)
"""How far clocks may differ."""
MOST_DEPTH = 8
"""Lists and dicts inside each other in the parameters of a component."""

# 1e999999999 would take forever. A unit may follow, as in 10 pixels or 8x8 pixels.
_RADIUS = re.compile(r"([\d.]{1,30}(?:/\d{1,30})?(?:e-\d\d)?)(x\d{1,9})?( [a-z]{1,20})?", re.ASCII)
_STARTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(\+00:00|Z)", re.ASCII)


@lru_cache(maxsize=1000)
def radius(text: str) -> Fraction:
    """Return the exact radius of ``"8/255"``, ``"0.5"``, or ``"10 pixels"``, in the unit that follows the number.

    Raises:
        ValueError: It is not a number from 0 to a million in one of these forms.
    """
    try:
        if (parts := _RADIUS.fullmatch(text)) is None:
            raise ValueError
        found = Fraction(parts[1])
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text[:40]!r} is not a radius such as 8/255") from None
    if found > 10**6:
        raise ValueError(f"{text[:40]!r} is not a radius such as 8/255: it is above a million")
    return found


def _radius_text(text: str) -> str:
    radius(text)
    return text


def _started(text: str) -> str:
    try:
        if not _STARTED.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time in UTC such as 2026-01-31T12:00:00+00:00") from None
    if moment > datetime.now(UTC) + FUTURE:  # of repeats the latest counts, so a date to come would win for ever
        raise ValueError(f"{text!r} is to come; expected the time at which the run started")
    return text


def _plain_values(params: dict[str, Any]) -> dict[str, Any]:
    for value in params.values():
        _require_plain_value(value, 1)
    return params


def _require_plain_value(value: Any, depth: int) -> None:
    """Refuse what JSON cannot hold, and what is too deep or too large to be shown."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        if kind is str and len(value) > 100_000:
            raise ValueError("a parameter has more than 100,000 characters")
    elif kind is int or kind is float:
        if abs(value) > MOST_NUMBER if kind is int else not math.isfinite(value):
            raise ValueError(f"parameter {str(value)[:40]} is not a finite number of at most 63 bits")
    elif isinstance(value, dict | list | tuple):
        if depth >= MOST_DEPTH:
            raise ValueError(f"parameters are more than {MOST_DEPTH} levels deep")
        for each in value.values() if isinstance(value, dict) else value:
            _require_plain_value(each, depth + 1)


Line = Annotated[str, Field(max_length=10_000)]
"""A name, a label or another short text."""
Text = Annotated[str, Field(max_length=100_000)]
"""A message or a command."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
Images = Annotated[int, Field(ge=0, le=MOST_IMAGES)]
Weights = Annotated[int, Field(ge=0, le=MOST_NUMBER)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Logged = Annotated[float, Field(ge=-1e39, le=1e39)]
"""A figure of an epoch. No float32 is larger, and no axis can be drawn far beyond."""
Radius = Annotated[str, Field(max_length=70), AfterValidator(_radius_text)]
Started = Annotated[str, AfterValidator(_started)]
Params = Annotated[dict[Line, Any], AfterValidator(_plain_values)]
