"""Text of other people, made harmless for each output.

A record may hold any text: escape sequences that a terminal obeys, marks that turn the direction of writing, characters
without width, markup and formulas. Each output has one function here, which is called where everything is written, so
that no printer needs to think of it.
"""

from __future__ import annotations

import re

# Control characters but tab and newline, among them ESC and those of C1; marks of direction; characters without width;
# line and paragraph separators; halves of pairs, which no terminal can encode; invisible tags.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_HIDDEN = re.compile(f"[{_CONTROLS}\ud800-\udfff\U000e0000-\U000e0fff]")
_CODE = re.compile(r"\\\\|\\u([0-9a-f]{4})")
_SPECIAL = re.compile(r"\](?=\s*[(\[:])|[|<>`]|&(?=#|\w)|\n")
_ENTITIES = {"\n": " "}


def terminal(text: str) -> str:
    """Return `text` for a terminal: what it would obey or hide is written as in JSON, such as ``\\u001b``."""
    return _HIDDEN.sub(_escaped, text)


def line(text: str) -> str:
    """Return `text` for a terminal, in one line."""
    return terminal(" ".join(re.split(r"\s*[\r\n]+\s*", text)))


def markdown(text: str) -> str:
    """Return `text` for a cell or a line of GitHub Markdown: no cell ends, and no HTML, code or link begins."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"&#{ord(found[0])};"), terminal(text))


def cell(value: object) -> object:
    """Return a value for a cell of CSV: text that a spreadsheet would compute is marked as text by ``'``."""
    if not isinstance(value, str):
        return value
    shown = terminal(value)
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@") or shown[:1] in ("\t", "\n", "\uff1d") else shown


def script(json: str) -> str:
    """Return JSON in ASCII for a script of the page: no tag begins, and hidden characters are shown as their codes."""
    return _CODE.sub(_shown, json).replace("<", "\\u003c")


def _shown(found: re.Match[str]) -> str:
    # An escaped backslash is a match of its own, so that what follows it is not taken for a code.
    code = int(found[1] or "20", 16)
    return f"\\{found[0]}" if not 0xD800 <= code < 0xE000 and _HIDDEN.match(chr(code)) else found[0]


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
