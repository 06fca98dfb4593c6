"""Figures that others published, as rows of a sweep definition; they are shown beside measured ones."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from robench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a publication reports about a model.

    Attributes:
        name: The name of the row.
        clean: Clean accuracy in percent.
        adversarial: Adversarial accuracy in percent; None if it is not reported.
        about: Lines about the source, the model and how it was measured.
    """

    name: str
    clean: float
    adversarial: float | None
    about: tuple[str, ...]

    def to_toml(self) -> str:
        """Return a row of a sweep definition, without settings: the reader adds what to run."""
        figures = [f"clean = {self.clean}"]
        figures += [] if self.adversarial is None else [f"adversarial = {self.adversarial}"]
        name = _printable(self.name) or "unnamed"
        lines = [f"# {_printable(line)}" for line in self.about if line]
        quoted = json.dumps(name, ensure_ascii=False)  # as TOML writes text without control characters
        lines += ["[[rows]]", f"name = {quoted}", f"published = {{ {', '.join(figures)} }}"]
        return "\n".join([*lines, "# model, tuner, attacks: what you run to compare with it"])


def percent(path: Path, key: str, value: object, *, scale: float = 1) -> float:
    """Return an accuracy in percent; a file gives it as a number or as text.

    Raises:
        DataError: It is not a number, or out of range.
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
