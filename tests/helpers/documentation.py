"""Code in Markdown: its blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^`(?P<file>[\w/]+\.py)`:\n+)?(?:<!-- not run: (?P<why>.*?) -->\n+)?"
    r"^ *```(?P<lang>\w+)\n(?P<text>.*?)^ *```",
    re.M | re.S,
)
FIRST_LINE = re.compile(r" *# (\S+\.py)\n")
INLINE = re.compile(r"`(robench [a-z][^`]*)`")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of code.

    Attributes:
        language: As after the backticks.
        text: Its lines.
        file: Which file it is, as the line before it, or its own first line, says; empty if neither does.
        not_run: Why it cannot be run, as the page says in ``<!-- not run: ... -->`` before it; empty if it can.
    """

    language: str
    text: str
    file: str = ""
    not_run: str = ""


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of `page` in these languages, or all, in order."""
    found = [
        Block(
            language=each["lang"],
            text=textwrap.dedent(each["text"]),
            file=each["file"] or (named[1] if (named := FIRST_LINE.match(each["text"])) else ""),
            not_run=each["why"] or "",
        )
        for each in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]
    return [block for block in found if not languages or block.language in languages]


def commands(shell: str) -> Iterator[list[str]]:
    """Yield the words of every command of a shell block; variables of the environment become 0."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"\$\{?\w+\}?", "0", shell)).splitlines()
    for line in lines:
        for part in re.split(r"&&|\s\|\s", line):
            words = shlex.split(part.partition(" > ")[0], comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words:
                yield words


def inline_commands(page: Path) -> list[list[str]]:
    """Return the words of every ``robench ...`` in the text of `page` that leaves nothing out and nothing open."""
    found = INLINE.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return [shlex.split(text) for text in found if " ..." not in text and "|" not in text]
