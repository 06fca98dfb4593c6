"""Tables of text, for a terminal and as Markdown.

rich and tabulate draw them. What is done here beside that keeps a table with many columns readable in 80 characters,
where rich alone cuts names and figures off and tabulate lets lines run on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.present.harmless import markdown

if TYPE_CHECKING:
    from rich.table import Table as RichTable

NOTHING = "-"
NAME_WIDTH = 10
"""Characters that names of rows keep in a narrow terminal."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A column's name, and what its figures rest on, such as ``("Linf 8/255", "transfer", "n=1000")``.

    In a terminal, which is narrow, the cells of a ``minor`` column stand under the name of their row.
    """

    label: str
    details: tuple[str, ...] = ()
    minor: bool = False

    def __str__(self) -> str:
        return f"{self.label} ({', '.join(self.details)})" if self.details else self.label


def headings(*labels: str, minor: bool = False) -> tuple[Heading, ...]:
    """Return headings without details."""
    return tuple(Heading(label=label, minor=minor) for label in labels)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells under headings; the first column names the rows. ``notes`` are lines above the table."""

    title: str
    notes: tuple[str, ...] = ()
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_rich(self) -> RichTable:
        """Return a table for a terminal; long labels of columns move to a legend above it."""
        from rich.text import Text

        legend = [str(heading) for heading in self.headings if ":" in heading.label]
        view = terminal_table([self.title, *self.notes, *legend], collapse_padding=True)
        first, *others = self.headings
        longest = max((len(row[0]) for row in self.rows), default=0)
        view.add_column(Text(first.label), min_width=min(longest, NAME_WIDTH), overflow="fold")
        for heading in others:
            if not heading.minor:
                short = heading.label.partition(":")[0]
                view.add_column(Text("\n".join([short, *heading.details])), justify="right", overflow="fold")
        for name, *cells in self.rows:
            pairs = list(zip(others, cells, strict=True))
            below = ", ".join(f"{cell} {heading.label}" for heading, cell in pairs if heading.minor and cell != NOTHING)
            # What follows a sign goes on a line of its own, which keeps many columns within a terminal's width.
            shown = [
                Text(cell.replace(" ± ", "\n± ").replace(" + ", "\n+ ")) for heading, cell in pairs if not heading.minor
            ]
            view.add_row(Text.assemble((name, "bold"), *([f"\n{below}"] if below else [])), *shown)
        return view

    def to_markdown(self) -> str:
        """Return a GitHub table under a line with its title and one with its notes."""
        table = github_table([str(heading) for heading in self.headings], self.rows)
        return "\n\n".join(
            part for part in (f"**{markdown(self.title)}**", "\n".join(map(markdown, self.notes)), table) if part
        )


def terminal_table(lines: Sequence[str], *, collapse_padding: bool = False) -> RichTable:
    """Return a table without columns yet, under `lines` of text; ``collapse_padding`` puts columns closer together."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=Text("\n".join(lines)),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=collapse_padding,
    )


def github_table(labels: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a GitHub table; the columns at the positions `left`, negative ones from the end, are aligned left."""
    from tabulate import tabulate

    aligned = ["right"] * len(labels)
    for position in left:
        aligned[position] = "left"
    rows, labels = [[markdown(cell) for cell in row] for row in rows], [markdown(label) for label in labels]
    return tabulate(rows, headers=labels, tablefmt="github", disable_numparse=True, colalign=aligned)
