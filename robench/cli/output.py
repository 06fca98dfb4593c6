"""Print tables and messages: results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from robench.present.grid import Grid

PIPED_WIDTH = 160
"""Columns of a table that is not printed to a terminal."""


def say(message: str) -> None:
    """Print a line on standard error."""
    click.echo(f"robench: {message}", err=True)


def warn(message: str) -> None:
    """Print a warning on standard error."""
    say(f"warning: {message}")


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error."""
    from rich.console import Console

    made = Console(no_color=True if click.get_current_context().color is False else None, stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH  # rich would take 80 columns
    return made


def print_grid(grid: Grid, json: str, style: str) -> None:
    """Print a table in the format `style`: table, markdown, or json, which is the text `json`."""
    if style == "json":
        click.echo(json)
    elif style == "markdown":
        click.echo(grid.to_markdown())
    else:
        console().print(grid.to_rich())
