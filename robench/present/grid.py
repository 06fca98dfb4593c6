"""Tables of text, for a terminal and as Markdown.

rich and tabulate draw them. What is done here beside that keeps a table with many columns readable in 80 characters,
where rich alone cuts names and figures off and tabulate lets lines run on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.present.harmless import cell, markdown, terminal

if TYPE_CHECKING:
    from rich.table import Table as RichTable

NOTHING = "-"
MOST_COLUMNS = 8
"""Columns of figures that a terminal has room for."""
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

    def to_csv(self) -> str:
        """Return the headings and the cells as CSV."""
        return csv_text([str(heading) for heading in self.headings], self.rows)

    def to_latex(self) -> str:
        """Return a ``tabular`` with the rules of booktabs, under its title and notes as comments."""
        lines = [f"% {terminal(line)}" for text in (self.title, *self.notes) for line in text.splitlines()]
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in ([str(each) for each in self.headings], *self.rows)]
        body = [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"]
        columns = "l" + "r" * (len(self.headings) - 1)
        return "\n".join([*lines, rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])

    def turned(self) -> Grid:
        """Return the table with its rows as columns."""
        cells = zip(*(row[1:] for row in self.rows), strict=True)
        names = (Heading(label=row[0]) for row in self.rows)
        rows = tuple((str(heading), *row) for heading, row in zip(self.headings[1:], cells, strict=True))
        return Grid(title=self.title, notes=self.notes, headings=(Heading(label=""), *names), rows=rows)

    def to_rich(self) -> RichTable:
        """Return a table for a terminal; long labels of columns move to a legend above it.

        With more than ``MOST_COLUMNS`` columns of figures, these become rows.
        """
        from rich.text import Text

        wide = sum(not heading.minor for heading in self.headings) - 1
        if wide > max(MOST_COLUMNS, len(self.rows)):
            return self.turned().to_rich()
        whole = [heading.label for heading in self.headings if not heading.minor]
        short = [label.partition(":")[0] for label in whole]
        named = dict(zip(whole, short if len(set(short)) == len(short) else whole, strict=True))
        legend = [str(heading) for heading in self.headings if heading.label != named.get(heading.label, heading.label)]
        view = terminal_table([self.title, *self.notes, *legend], collapse_padding=True)
        first, *others = self.headings
        longest = max((len(row[0]) for row in self.rows), default=0)
        view.add_column(Text(first.label), min_width=min(longest, NAME_WIDTH), overflow="fold")
        for heading in others:
            if not heading.minor:
                view.add_column(
                    Text("\n".join([named[heading.label], *heading.details])), justify="right", overflow="fold"
                )
        for name, *cells in self.rows:
            pairs = list(zip(others, cells, strict=True))
            below = ", ".join(
                f"{value} {heading.label.removesuffix('s') if value == '1' else heading.label}"
                for heading, value in pairs
                if heading.minor and value != NOTHING
            )
            # What follows a sign goes on a line of its own, which keeps many columns within a terminal's width.
            shown = [
                Text(value.replace(" ± ", "\n± ").replace(" + ", "\n+ "))
                for heading, value in pairs
                if not heading.minor
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
    rows, labels = [[markdown(each) for each in row] for row in rows], [markdown(label) for label in labels]
    return tabulate(rows, headers=labels, tablefmt="github", disable_numparse=True, colalign=aligned)


def csv_text(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return CSV; text that a spreadsheet would compute is marked as text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[cell(value) for value in row] for row in (names, *rows)])
    return text.getvalue()


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {"≤": r"$\leq$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {each: f"\\{each}" for each in "&%$#_{}"}


def _latex(text: str) -> str:
    """Return text as LaTeX shows it."""
    return "".join(_LATEX.get(letter, letter) for letter in terminal(text).replace("\n", " "))
