"""Write chapters as one HTML page that contains its pictures, and as Markdown with pictures as files beside it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from robench.errors import DataError
from robench.present.figures.catalogue import save
from robench.present.harmless import terminal
from robench.present.report.parts import Chapter, Picture, Table
from robench.storage.whole_file import remove_abandoned, whole_files

DPI = 110
VERDICTS = ("pass", "warn", "incomplete", "fail")
"""Cells that the page marks by a sign and a colour."""


def write_report(chapters: Sequence[Chapter], folder: Path, style: str) -> list[Path]:
    """Write ``report.html``, ``report.md`` or both into `folder` and return the files.

    Raises:
        DataError: `folder` cannot be written to; an earlier report there is unchanged.
    """
    sections = [section for chapter in chapters for section in chapter.sections]
    drawn = {picture.name: _png(picture) for section in sections for picture in section.pictures}
    files: dict[str, bytes] = {}
    if style in ("both", "html"):
        files["report.html"] = to_html(chapters, drawn).encode()
    if style in ("both", "markdown"):
        files["report.md"] = to_markdown(chapters).encode()
        files |= {f"{name}.png": content for name, content in drawn.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        with whole_files() as draft:
            for name, content in files.items():
                draft(folder / name).write_bytes(content)
    except OSError as error:
        raise DataError(f"cannot write a report to {folder}: {error.strerror or error}") from None
    return [folder / name for name in files]


def to_html(chapters: Sequence[Chapter], drawn: dict[str, bytes]) -> str:
    """Return a page that needs no network, no script and no other file."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("robench.present.report", "."), autoescape=True, finalize=_harmless)
    inside = {name: f"data:image/png;base64,{base64.b64encode(content).decode()}" for name, content in drawn.items()}
    page = environment.get_template("page.html.j2")
    return page.render(
        title=chapters[0].title, chapters=chapters, pictures=inside, version=version("robench"), VERDICTS=VERDICTS
    )


def to_markdown(chapters: Sequence[Chapter]) -> str:
    """Return GitHub Markdown; pictures are files beside it."""
    lines: list[str] = []
    for number, chapter in enumerate(chapters):
        lines += [f"{'#' if number == 0 else '##'} {_plain(chapter.title)}", ""]
        for section in chapter.sections:
            lines += [f"{'##' if number == 0 else '###'} {_plain(section.title)}", ""]
            for line in section.text:
                lines += [_plain(line), ""]
            for table in section.tables:
                lines += [_table(table), ""]
            for picture in section.pictures:
                lines += [f"![{_plain(picture.description)}]({picture.name}.png)", ""]
    return "\n".join(lines)


def _png(picture: Picture) -> bytes:
    content = io.BytesIO()
    save(picture.draw, content, DPI)
    return content.getvalue()


def _table(table: Table) -> str:
    from tabulate import tabulate

    rows = [[_plain(cell) for cell in row] for row in table.rows]
    sides = ["left"] * len(table.headings) if table.words else ["left", *["right"] * (len(table.headings) - 1)]
    headings = [_plain(heading) for heading in table.headings]
    return tabulate(rows, headers=headings, tablefmt="github", disable_numparse=True, colalign=sides)


def _harmless(value: object) -> object:
    """Return what the page shows of a value; escaped text, which jinja made, stays as it is."""
    return terminal(value) if type(value) is str else value


def _plain(text: str) -> str:
    """Return `text` with the special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", terminal(text)).replace("\n", " ")
