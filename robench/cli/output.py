"""Print tables and messages: results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from robench.present.harmless import line, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from robench.present.grid import Grid

PIPED_WIDTH = 160
"""Columns of a table that is not printed to a terminal."""


def echo(message: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text, which may come from other people; use it instead of ``click.echo``."""
    click.echo(terminal(message), err=err, nl=nl)


def columns() -> int | None:
    """Return the width of the terminal, or COLUMNS; None if neither is known, as in a pipe."""
    if not (sys.stdout.isatty() or "COLUMNS" in os.environ):
        return None
    return max(20, shutil.get_terminal_size().columns)


def hear_retries_once() -> None:
    """Let the Hugging Face Hub's client say once that it tries again; its own two lines for each try go."""
    import logging

    told = False

    def once(record: logging.LogRecord) -> bool:
        nonlocal told
        text = record.getMessage()
        if "thrown while requesting" not in text and not text.startswith("Retrying in"):
            return True
        if not told:
            told = True
            say(f"the Hugging Face Hub does not answer ({text.partition(' thrown')[0]}); it is asked up to six times")
        return False

    client = logging.getLogger("huggingface_hub.utils._http")
    client.filters[:] = [each for each in client.filters if getattr(each, "__module__", "") != __name__]
    client.addFilter(once)


def say(message: str) -> None:
    """Print a line on standard error."""
    echo(line(f"robench: {message}"), err=True)


def warn(message: str) -> None:
    """Print a warning on standard error."""
    say(f"warning: {message}")


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error."""
    from rich.console import Console
    from rich.segment import Segment

    class Harmless(Console):
        """A console that never reads text as markup, and lets no control character of a text through."""

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(terminal(segment.text), segment.style)

    colour = True if click.get_current_context().color is False else None
    made = Harmless(markup=False, emoji=False, highlight=False, no_color=colour, stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH  # rich would take 80 columns
    return made


def print_grid(grid: Grid, json: str, style: str) -> None:
    """Print a table in the format `style`: table, markdown, latex, csv, or json, which is the text `json`."""
    if style == "json":
        echo(json)
    elif style in ("markdown", "latex"):
        echo(grid.to_markdown() if style == "markdown" else grid.to_latex())
    elif style == "csv":
        echo(grid.to_csv(), nl=False)
    else:
        console().print(grid.to_rich())
