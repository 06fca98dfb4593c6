"""The result of a sweep as a table for a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import mean

from robench.present.grid import NOTHING, Grid, Heading
from robench.records.labels import short_label
from robench.sweep.summary import Column, Figure, Line, Summary

READING = "Accuracy in percent: mean over seeds ± sample standard deviation, without one for a single seed."
READING_INTERVALS = (
    "Accuracy in percent: mean over seeds, its 95 % interval over seeds (Student's t), and "
    "over test images (Wilson's, of one run)."
)


def summary_grid(summary: Summary, intervals: bool = False) -> Grid:
    """Return the summary as a table with accuracies in percent.

    Args:
        intervals: Show 95 % intervals instead of standard deviations.
    """
    published = [
        (Heading(label=label, details=("published",)), [getattr(line.published, what) for line in summary.lines])
        for what, label in (("clean", "clean"), ("adversarial", "attacked"))
    ]
    published = [(heading, values) for heading, values in published if any(value is not None for value in values)]
    rows = []
    for number, line in enumerate(summary.lines):
        n = len(line.recorded)
        figures = [_cell(figure, n, intervals) if n else "missing" for figure in line.figures]
        averages = [_average(line.figures, places) for _, places in _averaged(summary.columns)]
        reported = [NOTHING if values[number] is None else f"{values[number]:.2f}" for _, values in published]
        seeds = f"{n} of {len(line.run_ids)}"
        trained = NOTHING if line.trainable_parameters is None else f"{line.trainable_parameters:,}"
        seconds = NOTHING if line.seconds is None else f"{line.seconds:,.0f}"
        rows.append((line.name, *figures, *averages, *reported, *_chosen(summary, line), trained, seconds, seeds))
    return Grid(
        title=summary.title,
        notes=(*((summary.note,) if summary.note else ()), READING_INTERVALS if intervals else READING),
        headings=(
            Heading(label="row"),
            *_headings(summary.columns),
            *(Heading(label=f"average {name}", details=("datasets",)) for name, _ in _averaged(summary.columns)),
            *(heading for heading, _ in published),
            *([Heading(label="chosen", details=("validation",))] if any(line.chosen for line in summary.lines) else []),
            Heading(label="trained", minor=True),
            Heading(label="seconds", minor=True),
            Heading(label="seeds", minor=True),
        ),
        rows=tuple(rows),
    )


def _chosen(summary: Summary, line: Line) -> tuple[str, ...]:
    """Return what was chosen for a row, if anything was for any row."""
    return (line.chosen or NOTHING,) if any(each.chosen for each in summary.lines) else ()


def _averaged(columns: Sequence[Column]) -> list[tuple[str, list[int]]]:
    """Return what several datasets have in common, clean and each attack, with the places of its columns."""
    found: dict[tuple[str, int], list[int]] = {}
    for place, column in enumerate(columns):
        found.setdefault((column.attack, column.n), []).append(place)
    several = [(key, places) for key, places in found.items() if len({columns[p].dataset for p in places}) > 1]
    return [(short_label(attack) or "clean", places) for (attack, _), places in several]


def _average(figures: Sequence[Figure | None], places: Sequence[int]) -> str:
    """Return the mean over datasets, each counted once; nothing if one is missing."""
    means = [figure.mean for place in places if (figure := figures[place]) is not None]
    return f"{mean(means):.1f}" if len(means) == len(places) else NOTHING


def _headings(columns: Sequence[Column]) -> list[Heading]:
    """Return the headings; dataset, split, images and surrogate are named only if columns differ in them."""
    one_dataset = len({(column.dataset, column.split) for column in columns}) == 1
    details = [
        (*column.threat, f"n={column.n}")
        + ((column.precision,) if column.precision else ())
        + (() if one_dataset else (f"{short_label(column.dataset)} {column.split}",))
        for column in columns
    ]
    sources = [
        (f"images {column.images[:8]}", *([f"surrogate {column.surrogate[:8]}"] if column.surrogate else []))
        for column in columns
    ]
    plain = [
        Heading(label=short_label(c.attack) or "clean", details=found)
        for c, found in zip(columns, details, strict=True)
    ]
    return [
        heading if plain.count(heading) == 1 else dataclasses.replace(heading, details=(*heading.details, *source))
        for heading, source in zip(plain, sources, strict=True)
    ]


def _cell(figure: Figure | None, n_recorded: int, intervals: bool) -> str:
    if figure is None:
        return NOTHING
    if intervals:
        sources = {"seeds": figure.over_seeds, "images": figure.over_images}
        spread = "".join(f", {name} {ends[0]:.1f} to {ends[1]:.1f}" for name, ends in sources.items() if ends)
    else:
        spread = "" if figure.deviation is None else f" ± {figure.deviation:.1f}"
    part = "" if len(figure.values) == n_recorded else f" ({len(figure.values)} seeds)"
    return f"{figure.mean:.1f}{spread}{part}"
