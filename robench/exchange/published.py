"""Figures that others report, as rows of a sweep's definition: to stand beside what is measured, never in its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from robench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What somebody reports of a model.

    Attributes:
        name: What to call it.
        clean: Accuracy in percent.
        adversarial: The same under attack; None if that is not reported.
        about: Where it is from, what it is of and how it was measured.
    """

    name: str
    clean: float
    adversarial: float | None
    about: tuple[str, ...]

    def to_toml(self) -> str:
        """Return it as a row of a sweep; what is to be run beside it only its reader knows."""
        figures = [f"clean = {self.clean}"]
        figures += [] if self.adversarial is None else [f"adversarial = {self.adversarial}"]
        lines = [f"# {_printable(line)}" for line in self.about if line]
        lines += ["[[rows]]", f"name = {_quoted(self.name)}", f"published = {{ {', '.join(figures)} }}"]
        return "\n".join([*lines, "# model, tuner, attacks: what you run to compare with it"])


def percent(path: Path, key: str, value: object, *, scale: float = 1) -> float:
    """Return an accuracy that a file gives as a number or as text, in percent.

    Raises:
        DataError: It is no accuracy.
    """
    try:
        found = round(scale * float(str(value)), 4)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 100:
        raise DataError(f"{path}: {key} is {value!r}; expected an accuracy, at most {100 / scale:g}")
    return found


def _printable(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _quoted(text: str) -> str:
    escaped = (_printable(text) or "unnamed").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
