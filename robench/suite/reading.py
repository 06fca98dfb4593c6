"""TOML files of suites, sweeps and published figures: read, and their first fault in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from robench.errors import SpecError
from robench.storage.plain_file import read_plain

MOST_BYTES = 1_000_000
"""Largest file that is read."""


def read_toml(path: Path, what: str, expected: str) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SpecError: The file does not exist or is not TOML.
    """
    try:
        return tomllib.loads(read_plain(path, MOST_BYTES).decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it does not exist" if not path.exists() else str(error)
        raise SpecError(f"{what} {path} cannot be read: {reason}; expected {expected}") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise SpecError(f"{path} cannot be read: its values are nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise SpecError(f"{path} cannot be read: {error}") from None


def first_fault(error: ValidationError) -> str:
    """Return the first fault that was found, in one line."""
    first = error.errors()[0]
    # Of a union, pydantic adds which of its types it tried.
    parts = [part for part in first["loc"] if isinstance(part, int) or not part.startswith(("constrained", "literal"))]
    key = ".".join(map(str, parts))
    nothing = first["type"] == "missing" or isinstance(first["input"], dict)
    got = "" if nothing else f" (got {str(first['input'])[:80]!r})"
    return (f"{key}: " if key else "") + first["msg"].removeprefix("Value error, ") + got
