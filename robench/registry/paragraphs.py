"""Text in lines of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence


def unbroken(text: str, width: int | None) -> list[str]:
    """Return the lines of a text, each paragraph as one line if lines are to be wrapped; lists and code keep theirs."""
    if width is None:
        return text.splitlines()
    lines: list[str] = []
    for line in text.splitlines():
        goes_on = lines and lines[-1] and line[:1].strip() and line[:2] not in ("- ", "* ") and line[:1] != "|"
        if goes_on and not lines[-1].startswith(("|", " ")):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return lines


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return `text` in lines of at most `width` columns, those after the first indented; an empty line stays one."""
    if width is None or not text:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def hanging(rows: Sequence[tuple[str, str]], width: int | None) -> list[str]:
    """Return names with what they mean beside them, in lines of at most `width` columns.

    A name without a meaning is a heading.
    """
    lengths = [len(name) for name, meaning in rows if meaning]
    most = max(12, width // 3) if width else max(lengths, default=0)
    column = max((length for length in lengths if length <= most), default=0) + 4
    lines = []
    for name, meaning in rows:
        if not meaning:
            lines.append(f"  {name}")
            continue
        start = f"  {name}"
        if len(start) > column - 2:
            lines.append(start)
            start = ""
        lines += wrapped(f"{start:{column}}{meaning}", width, " " * column)
    return lines
