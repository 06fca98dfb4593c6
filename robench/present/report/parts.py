"""What a report is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of text under headings; the first column is text, the others are figures unless ``words`` says not."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, drawn when it is written, and what it shows in words.

    Attributes:
        name: Of the file, without its ending.
        description: For those who do not see it.
    """

    name: str
    description: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading and what stands under it, in the order of the fields."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One run, or what several have in common."""

    title: str
    sections: tuple[Section, ...]
