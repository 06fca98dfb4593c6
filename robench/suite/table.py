"""The table of a suite: methods down, data sets and their average across, one table for clean and each attack."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robench.present.grid import NOTHING, Grid, Heading, headings
from robench.suite.averages import Masks, Mean, average, harmonic_mean, mean_over_seeds
from robench.suite.definition import Suite, SuiteSet
from robench.suite.parts import untrained_sets
from robench.suite.scores import CLEAN, Standing

READING = (
    "Accuracy in percent, mean over seeds. In brackets the 95 % interval of an average: for other images of these data "
    "sets, and for other seeds where there are several."
)

SEEDS = Heading(label="seeds", minor=True)
MOST_ACROSS = 6
"""Figures of a method that stand side by side even where there are fewer methods."""


@dataclass(frozen=True, kw_only=True)
class GroupAverage:
    """The average over the data sets of a group that were measured.

    Attributes:
        group: Its name; empty if the suite has one group.
        mean: None if nothing was measured, or no seed is there for all of them.
        measured_sets: How many data sets it is over.
        of: How many the group has.
    """

    group: str
    mean: Mean | None
    measured_sets: int
    of: int

    @property
    def complete(self) -> bool:
        """Whether it is over the whole group."""
        return self.measured_sets == self.of


def group_averages(suite: Suite, standing: Standing, attack: str) -> list[GroupAverage]:
    """Return the averages of a method under an attack."""
    return [
        GroupAverage(group=group, mean=average(found) if found else None, measured_sets=len(found), of=len(entries))
        for group in suite.groups
        for entries in [_entries(suite, group)]
        for found in [_found(standing, entries, attack)]
    ]


def harmonic(suite: Suite, standing: Standing, attack: str) -> Mean | None:
    """Return the harmonic mean of the suite's two groups; None if it has none, or a data set is missing."""
    if suite.harmonic_mean is None:
        return None
    groups = [_entries(suite, group) for group in suite.harmonic_mean]
    first, second = (_found(standing, entries, attack) for entries in groups)
    if (len(first), len(second)) != tuple(map(len, groups)):
        return None
    return harmonic_mean(first, second)


def averages_grid(
    suite: Suite, rows: Sequence[Standing], missing: Mapping[str, str], names: Sequence[str] = ()
) -> Grid:
    """Return the averages alone: methods down; clean and each measure across, for each group of data sets.

    Many measures of few methods stand the other way round.

    Args:
        missing: Why data sets are not here, by their names.
        names: What to call the methods; as they were typed if not given.
    """
    measured = (CLEAN, *suite.averaged)
    across = [*suite.groups, *(["harmonic mean"] if suite.harmonic_mean else [])]
    labels = [f"{attack or 'clean'} {group}".strip() for attack in measured for group in across]
    cells = [[text for attack in measured for text in _averages(suite, row, attack)] for row in rows]
    n = sum(each.average for each in suite.datasets)
    grid = Grid(
        title=f"{suite.full_name}{_shared(rows)}: averages over {n} data set{'' if n == 1 else 's'}",
        notes=(READING, *about(suite, missing)),
        headings=(Heading(label="method"), *headings(*labels), SEEDS),
        rows=tuple((name, *own, _seeds(row)) for name, own, row in zip(_names(rows, names), cells, rows, strict=True)),
    )
    return grid.turned() if len(labels) > max(MOST_ACROSS, len(rows)) else grid


def best_first(suite: Suite, rows: Sequence[Standing]) -> list[Standing]:
    """Return the methods by their average under the first attack shown; those that lack data sets come last."""

    def place(row: Standing) -> tuple[bool, float]:
        first = group_averages(suite, row, suite.averaged[0])[0]
        return not first.complete, -(first.mean.percent if first.mean else 0.0)

    return sorted(rows, key=place)


def suite_grids(suite: Suite, rows: Sequence[Standing], names: Sequence[str] = ()) -> list[Grid]:
    """Return the tables: clean, then each attack.

    Args:
        names: What to call the methods; as they were typed if not given.
    """
    grids = []
    for attack, typed in {CLEAN: "", **suite.measures}.items():
        name = f"{attack}, {typed}" if attack else "clean"
        grids.append(
            Grid(
                title=f"{suite.full_name}{_shared(rows)}: {name}",
                headings=_headings(suite, rows, attack),
                rows=tuple(
                    _row(suite, row, attack, called) for called, row in zip(_names(rows, names), rows, strict=True)
                ),
            )
        )
    return grids


def _shared(rows: Sequence[Standing]) -> str:
    models = {row.method.model for row in rows}
    return f", {next(iter(models))}" if len(models) == 1 else ""


def _names(rows: Sequence[Standing], names: Sequence[str]) -> list[str]:
    """Return what rows are called: the method, after the model if there are several."""
    found = list(names or [row.method.tuner for row in rows])
    if _shared(rows):
        return found
    return [f"{row.method.model}, {name}" for row, name in zip(rows, found, strict=True)]


def joined(grids: Sequence[Grid], names: Sequence[str]) -> Grid:
    """Return several tables as one, with a column for the name of each: for other programs."""
    first, *others = grids[0].headings
    rows = [(row[0], name, *row[1:]) for grid, name in zip(grids, names, strict=True) for row in grid.rows]
    headings = (first, Heading(label="measured"), *others)
    return Grid(title=grids[0].title, notes=grids[0].notes, headings=headings, rows=tuple(rows))


def measures(suite: Suite) -> list[str]:
    """Return what is measured: clean, and the names of attacks and ensembles."""
    return ["clean", *suite.measures]


def about(suite: Suite, missing: Mapping[str, str]) -> list[str]:
    """Return lines on the data sets that are not here: which, why, and how to pass them."""
    if not missing:
        return []
    lines = [f"Not here, {len(missing)} of {len(suite.datasets)} data sets:"]
    lines += [f"- {name}: {why}" for name, why in missing.items()]
    if untrained := untrained_sets(suite, missing):
        lines.append(f"Tuners that train have no figures on {', '.join(untrained)}: what they train on is not here.")
    return [*lines, "Pass --data DIR, a folder with a folder for each, or --data NAME=DIR for one of them."]


def _entries(suite: Suite, group: str) -> list[SuiteSet]:
    return [each for each in suite.datasets if each.average and each.group == group]


def _found(standing: Standing, entries: Sequence[SuiteSet], attack: str) -> list[Masks]:
    return [masks for each in entries if (masks := standing.masks(each.name, attack))]


def _headings(suite: Suite, rows: Sequence[Standing], attack: str) -> tuple[Heading, ...]:
    sets = []
    for each in suite.datasets:
        counts = {len(mask) for row in rows for mask in row.masks(each.name, attack).values()}
        n = " and ".join(map(str, sorted(counts))) or str(suite.scored(each))
        sets.append(Heading(label=each.name, details=(f"n={n}",) + (() if each.average else ("not averaged",))))
    averages = [Heading(label=f"average {group}".strip(), details=("95 % interval",)) for group in suite.groups]
    last = [Heading(label="harmonic mean", details=("95 % interval",))] if suite.harmonic_mean else []
    return (Heading(label="method"), *sets, *averages, *last, SEEDS)


def _row(suite: Suite, row: Standing, attack: str, name: str) -> tuple[str, ...]:
    cells = [_cell(row.masks(each.name, attack), len(row.seeds)) for each in suite.datasets]
    return (name, *cells, *_averages(suite, row, attack), _seeds(row))


def _averages(suite: Suite, row: Standing, attack: str) -> list[str]:
    """Return the averages of all groups, then the harmonic mean if the suite has one."""
    found = [_average(each) for each in group_averages(suite, row, attack)]
    return [*found, _with_interval(harmonic(suite, row, attack))] if suite.harmonic_mean else found


def _seeds(row: Standing) -> str:
    return str(len(row.seeds))


def _cell(masks: Masks, seeds: int) -> str:
    if not masks:
        return NOTHING
    mean = mean_over_seeds(masks)
    return f"{mean.percent:.1f}" + ("" if len(mean.seeds) == seeds else f" ({len(mean.seeds)} of {seeds} seeds)")


def _average(found: GroupAverage) -> str:
    text = _with_interval(found.mean)
    return text if found.complete or found.mean is None else f"{text} over {found.measured_sets} of {found.of} sets"


def _with_interval(mean: Mean | None) -> str:
    return NOTHING if mean is None else f"{mean.percent:.1f} ({mean.low:.1f}-{mean.high:.1f})"


def suite_json(
    suite: Suite, rows: Sequence[Standing], missing: Mapping[str, str], published: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the table as JSON, every figure in full.

    Args:
        published: What papers report, as plain values.
    """
    content = {
        "suite": suite.full_name,
        "hash": suite.content_hash,
        "definition": suite.model_dump(mode="json"),
        "missing": dict(missing),
        "rows": [_as_values(suite, row) for row in rows],
        **({"published": list(published)} if published else {}),
    }
    return json.dumps(content, indent=1)


def _as_values(suite: Suite, row: Standing) -> dict[str, Any]:
    figures, averages = [], []
    for attack in (CLEAN, *suite.measures):
        measured = attack or "clean"
        for each in suite.datasets:
            if masks := row.masks(each.name, attack):
                n = len(next(iter(masks.values())))
                by_seed = {seed: 100 * float(mask.mean()) for seed, mask in masks.items()}
                mean = dataclasses.asdict(mean_over_seeds(masks))
                figures.append({"dataset": each.name, "measured": measured, "n": n, **mean, "by_seed": by_seed})
        for found in group_averages(suite, row, attack):
            averages.append({"measured": measured, **dataclasses.asdict(found)})
        if (mean_of_groups := harmonic(suite, row, attack)) is not None:
            averages.append(
                {"measured": measured, "group": "harmonic mean", "mean": dataclasses.asdict(mean_of_groups)}
            )
    return {
        "model": row.method.model,
        "tuner": row.method.tuner,
        "seeds": row.seeds,
        "runs": [record.run_id for record in row.records],
        "figures": figures,
        "averages": averages,
    }
