"""Write leaderboard tables for people: a line a method for a terminal, and as Markdown and LaTeX.

``to_detailed`` shows every figure of each row for a terminal: ``robench leaderboard --runs``, and the end of a run.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

from robench.contracts.types import USUAL_NORM, parse_radius
from robench.leaderboard.methods import Row
from robench.leaderboard.tables import Table, bound, case_at, certified_at, no_white_box, rank_text, result
from robench.present.grid import Grid, Heading, github_table
from robench.present.harmless import markdown
from robench.records.labels import short_label
from robench.statistics.intervals import Rate

if TYPE_CHECKING:
    from rich.console import RenderableType

NAME, FIGURE, FIXED, PROVED = 28, 6, 34, 10
"""Characters of a line for the method, for each figure, for what every table has, and for certified accuracy."""
LEGEND = (
    "Accuracy in percent: mean over the seeds, with its 95 % interval.",
    "worst case at R: right clean and under every attack up to radius R.",
    "<=: no white-box attack was made at that radius; the truth may be far lower.",
    "rank 3-6: chance leaves the ranks 3 to 6 open (tests of all pairs, 5 %).",
)
"""What stands once below all tables of a terminal."""


def to_short(table: Table, width: int = 80) -> RenderableType:
    """Return a table for a terminal of `width` characters, with a line for each method."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    proved = _certified(table)
    room = width - NAME - FIXED - (PROVED if proved else 0)
    fits = len(table.columns) <= min(room // FIGURE, len(ascii_uppercase))
    letters = ascii_uppercase[: len(table.columns)] if fits else ""
    legend = [f"{letter}: {_attack(table, place)}" for place, letter in enumerate(letters)]
    legend += [] if proved is None else [proved[2]]
    legend += [] if fits else [f"{len(table.columns)} attacks; --runs shows each"]
    seeds = sorted({len(row.runs) for row in table.rows})
    same_seeds = f"{seeds[0]} seeds each" if len(seeds) == 1 and seeds[0] > 1 else ""
    about = ", ".join(part for part in (f"model {short_label(table.model)}" if table.model else "", same_seeds) if part)
    lines = [line for line in (about, *legend) if line]
    view = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    view.add_column("rank", no_wrap=True)
    view.add_column("method")
    main, others = _figures(table)
    shown = [proved[0]] if proved else []
    for heading in (main[0], *(heading for heading, _ in others), *letters, *shown, "checks"):
        view.add_column(Text(heading), justify="left" if heading == "checks" else "right", no_wrap=True)
    for place, row in enumerate(table.rows):
        figures = [main[1][place], *(values[place] for _, values in others)]
        attacks = [f"{rate.percent:.1f}" for rate in row.attacks] if fits else []
        attacks += [proved[1][place]] if proved else []
        view.add_row(rank_text(row), Text(name_of(table, row)), *figures, *attacks, row.checks)
    title = Text.assemble((table.caption, "bold"), *(f"\n{line}" for line in lines))
    return Group(title, view, Text(result(table)))


def name_of(table: Table, row: Row) -> str:
    """Return the name of a row, with its model if the rows have several, and the plugins it needs."""
    origin = f" (with {', '.join(row.plugins)})" if row.plugins else ""
    return (row.name if table.model else f"{short_label(row.model)}: {row.name}") + origin


def _figures(table: Table) -> tuple[tuple[str, list[str]], list[tuple[str, list[str]]]]:
    """Return the column that ranks, with its intervals, and the others beside the attacks."""
    rows = table.rows
    clean = [("clean", [f"{row.clean.percent:.1f}" for row in rows])]
    if table.ball is not None:
        place, ball = table.ball, table.balls[table.ball]
        radius = ball.eps if ball.norm == USUAL_NORM else f"{ball.norm} {ball.eps}"
        return (
            f"worst case\nat {radius}",
            [f"{bound(ball, row.worst[place])} {_span(row.worst[place])}" for row in rows],
        ), clean
    if table.sort == "clean":
        return ("clean", [f"{row.clean.percent:.1f} {_span(row.clean)}" for row in rows]), []
    if table.sort == "drop":
        return ("drop", [f"{max(row.drops, default=0.0):.1f}" for row in rows]), clean
    if table.sort in ("trainable", "seconds"):
        values = [row.trainable_parameters if table.sort == "trainable" else row.seconds for row in rows]
        return ("trained" if table.sort == "trainable" else "seconds", [f"{value:,.0f}" for value in values]), clean
    lowest = [min((row.clean, *row.attacks), key=lambda rate: rate.percent) for row in rows]
    return ("strongest\nattack", [f"{rate.percent:.1f} {_span(rate)}" for rate in lowest]), clean


def _certified(table: Table) -> tuple[str, list[str], str] | None:
    """Return heading, figures and legend of certified accuracy at the smallest radius above 0; None without any."""
    if not table.certified:
        return None
    norm, eps = next((each for each in table.certified if parse_radius(each[1]) > 0), table.certified[0])
    rates = [row.proved(norm, eps) for row in table.rows]
    ns = sorted({rate.n for rate in rates if rate is not None})
    images = f"n={' or '.join(f'{n:,}' for n in ns)}"
    legend = f"certified: right, and proved to keep its class within {norm} {eps}, {images}; not ranked"
    return f"certified\n{norm} {eps}", ["-" if rate is None else f"{rate.percent:.1f}" for rate in rates], legend


def _attack(table: Table, place: int) -> str:
    column = table.columns[place]
    return f"{short_label(column.label)}, {column.threat}, n={column.n:,}"


def to_markdown(table: Table, *, classes: bool = False) -> str:
    """Return a GitHub table under a line that says what its rows share.

    Args:
        classes: Also show the mean accuracy over the classes, and that of the worst class.
    """
    attacks = [f"{column.label} ({column.threat}, n={column.n})" for column in table.columns]
    worst = [
        f"{case_at(ball)} (n={ball.n}{'' if ball.measured else f', at most: {no_white_box(ball)}'})"
        for ball in table.balls
    ]
    labels = ["#", "model", "method", "trained against", *worst, f"clean (n={table.n_clean})", *attacks]
    labels += [certified_at(*radius) for radius in table.certified]
    labels += ["trained", "seconds", "tuner", "seeds", "checks", "run"]
    rows = [_markdown_row(table, row, classes) for row in table.rows]
    reading = f"Ranked by {table.ranked_by}. {table.reading}"
    return "\n\n".join(
        (f"**{markdown(table.caption)}**", markdown(reading), github_table(labels, rows, left=(1, 2, 3, -4, -2, -1)))
    )


def _markdown_row(table: Table, row: Row, classes: bool) -> list[str]:
    accuracies = [_interval(row.clean)]
    accuracies += [f"{_interval(rate)}, drop {drop:.1f}" for rate, drop in zip(row.attacks, row.drops, strict=True)]
    for number, found in enumerate(row.classes or ()) if classes else ():
        accuracies[number] += f", macro {found.macro:.1f}, worst class {found.lowest_name} {found.lowest.percent:.1f}"
    worst = [f"{bound(ball, rate)} {_ends(rate)}" for ball, rate in zip(table.balls, row.worst, strict=True)]
    proofs = [row.proved(*radius) for radius in table.certified]
    accuracies += ["-" if rate is None else f"{_interval(rate)}, n={rate.n}" for rate in proofs]
    tuner = f"{row.tuner} (with {', '.join(row.plugins)})" if row.plugins else row.tuner
    named = [rank_text(row), row.model, row.name, row.trained_against]
    cost = [f"{row.trainable_parameters:,}", f"{row.seconds:.0f}", tuner, ", ".join(map(str, row.seeds))]
    return [*named, *worst, *accuracies, *cost, row.checks, ", ".join(run.run_id for run in row.runs)]


def to_latex(table: Table) -> str:
    """Return a ``tabular`` with the rules of booktabs; what its rows share stands above it as comments."""
    cases = [
        (Heading(label=case_at(ball)), [f"{bound(ball, row.worst[place]).replace('<=', '≤')}" for row in table.rows])
        for place, ball in enumerate(table.balls)
    ]
    attacks = [
        (Heading(label=short_label(column.label), details=(column.threat,)), [row.attacks[place] for row in table.rows])
        for place, column in enumerate(table.columns)
    ]
    accuracies = [(Heading(label="clean"), [row.clean for row in table.rows]), *attacks]
    columns = [(heading, [_spread(rate) for rate in rates]) for heading, rates in accuracies]
    # Beside a bound stands no deviation: it is not that of the true figure.
    columns += [
        (heading, [value + _deviation(row.worst[place]) for value, row in zip(values, table.rows, strict=True)])
        if table.balls[place].measured
        else (heading, values)
        for place, (heading, values) in enumerate(cases)
    ]
    columns += [
        (
            Heading(label=certified_at(*radius)),
            ["--" if (rate := row.proved(*radius)) is None else _spread(rate) for row in table.rows],
        )
        for radius in table.certified
    ]
    head = [
        ("method", [name_of(table, row) for row in table.rows]),
        ("rank", [rank_text(row, "--") for row in table.rows]),
    ]
    return Grid(
        title=table.caption,
        notes=(f"Ranked by {table.ranked_by}. {table.reading}", "needs \\usepackage{booktabs}"),
        headings=(*(Heading(label=label) for label, _ in head), *(heading for heading, _ in columns)),
        rows=tuple(zip(*(values for _, values in head), *(values for _, values in columns), strict=True)),
    ).to_latex()


def _spread(rate: Rate) -> str:
    return f"{rate.percent:.1f}{_deviation(rate)}"


def _deviation(rate: Rate) -> str:
    return "" if rate.sd is None else f" ± {rate.sd:.1f}"


def _interval(rate: Rate) -> str:
    return f"{rate.percent:.1f} {_ends(rate)}"


def _span(rate: Rate) -> str:
    return f"{rate.low:.1f}-{rate.high:.1f}"


def _ends(rate: Rate) -> str:
    return f"[{rate.low:.1f}, {rate.high:.1f}]"
