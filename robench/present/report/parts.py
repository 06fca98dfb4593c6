"""The parts of a report, independent of the format it is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of text under headings; all columns but the first are figures, unless ``words`` is set."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, which is drawn when it is written.

    Attributes:
        name: Name of the file without its suffix.
        description: What it shows, for readers who cannot see it.
    """

    name: str
    description: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading with what follows it, in the order of the fields."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One run, or the comparison of several."""

    title: str
    sections: tuple[Section, ...]
