"""A sweep's result: one line a row, the mean over seeds and the deviation; a pure function of records."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from robench.present.grid import NOTHING, Grid, Heading, headings
from robench.records.labels import attack_label
from robench.records.measurement import Measured, measurements
from robench.records.record import RunResult, Score
from robench.statistics.intervals import mean_interval, wilson_interval
from robench.sweep.plan import Job, Published, Sweep

READING = "Accuracy in percent: mean over seeds ± sample standard deviation, without one for a single seed."
READING_INTERVALS = (
    "Accuracy in percent: mean over seeds, its 95 % interval over seeds (Student's t), and "
    "over test images (Wilson's, of one run)."
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column of figures measures; figures on other images or surrogate weights stand in another column.

    Attributes:
        dataset: The scored dataset, as typed.
        attack: The attack as typed; empty for clean accuracy.
        threat: Its ball and what it knows, such as ``("Linf 8/255", "transfer")``; empty for clean accuracy.
        images: Fingerprint of the clean images.
        surrogate: Fingerprint of the surrogate's weights; empty if there is none.
        precision: What images were scored and attacked in; empty where all was float32.
    """

    dataset: str
    split: str
    attack: str
    threat: tuple[str, ...]
    n: int
    images: str
    surrogate: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Accuracy in percent over seeds, with what chance could have done to it, source by source.

    Attributes:
        deviation: Sample standard deviation over seeds; None for one seed.
        over_seeds: 95 % interval of the mean had other seeds been drawn, by Student's t; None for one seed.
        over_images: 95 % interval had other images been scored, Wilson's for one run; averaging over runs on the same
            images can only narrow it.
        values: The accuracies by seed.
    """

    mean: float
    deviation: float | None
    over_seeds: tuple[float, float] | None
    over_images: tuple[float, float]
    values: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a sweep over its recorded seeds; ``figures`` follow the columns, None where not measured."""

    name: str
    figures: tuple[Figure | None, ...]
    published: Published
    trainable_parameters: int | None
    seconds: float | None
    run_ids: dict[int, str]
    recorded: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A sweep's rows in the order of its definition."""

    title: str
    note: str
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def summarise(sweep: Sweep, jobs: Iterable[Job], completed: Mapping[str, RunResult]) -> Summary:
    """Average the records of each row over its seeds.

    Args:
        completed: Completed records by the hash of their spec, as of :func:`robench.sweep.plan.latest_completed`.
    """
    planned = list(jobs)
    found: dict[str, dict[int, RunResult]] = {row.name: {} for row in sweep.rows}
    for job in planned:
        if job.run_id in completed:
            found[job.row][job.seed] = completed[job.run_id]
    scores = {name: {seed: _scores(record) for seed, record in records.items()} for name, records in found.items()}
    columns = tuple(
        dict.fromkeys(column for by_seed in scores.values() for scored in by_seed.values() for column in scored)
    )
    lines = []
    for row in sweep.rows:
        records = found[row.name]
        tuned = [record.tuning.trainable_parameters for record in records.values() if record.tuning]
        lines.append(
            Line(
                name=row.name,
                figures=tuple(_figure(scores[row.name], column) for column in columns),
                published=row.published,
                trainable_parameters=max(tuned, default=None),
                seconds=mean(record.seconds["total"] for record in records.values()) if records else None,
                run_ids={job.seed: job.run_id for job in planned if job.row == row.name},
                recorded=tuple(records),
            )
        )
    return Summary(title=sweep.title, note=sweep.note, seeds=sweep.seeds, columns=columns, lines=tuple(lines))


def _scores(record: RunResult) -> dict[Column, float]:
    """Return all accuracies of a record in percent, clean ones before attacks."""
    return {column: 100 * score.accuracy for measured in measurements(record) for column, score in _columns(measured)}


def _columns(measured: Measured) -> list[tuple[Column, Score]]:
    spec = measured.record.spec
    clean = Column(
        dataset=measured.dataset.label,
        split=spec.split,
        attack="",
        threat=(),
        n=measured.clean.n,
        images=measured.data.test_fingerprint,
        surrogate="",
        precision=measured.precision,
    )
    attacked: list[tuple[Column, Score]] = [
        (
            dataclasses.replace(
                clean,
                attack=attack_label(score.label, score.n, spec.test_size),
                threat=(f"{score.norm} {score.eps}", score.knowledge),
                n=score.n,
                surrogate=score.surrogate.fingerprint if score.surrogate else "",
            ),
            score,
        )
        for score in measured.attacks
    ]
    return [(clean, measured.clean), *attacked]


def _figure(by_seed: Mapping[int, Mapping[Column, float]], column: Column) -> Figure | None:
    values = {seed: scored[column] for seed, scored in by_seed.items() if column in scored}
    if not values:
        return None
    several = len(values) > 1
    return Figure(
        mean=mean(values.values()),
        deviation=stdev(values.values()) if several else None,
        over_seeds=mean_interval(list(values.values())) if several else None,
        over_images=wilson_interval(mean(values.values()), column.n),
        values=values,
    )


def summary_grid(summary: Summary, intervals: bool = False) -> Grid:
    """Return the summary for a person to read, accuracies in percent, with deviations or with `intervals`."""
    published = [
        (Heading(label=label, details=("published",)), [getattr(line.published, what) for line in summary.lines])
        for what, label in (("clean", "clean"), ("adversarial", "attacked"))
    ]
    published = [(heading, values) for heading, values in published if any(value is not None for value in values)]
    rows = []
    for number, line in enumerate(summary.lines):
        n = len(line.recorded)
        figures = [_cell(figure, n, intervals) if n else "missing" for figure in line.figures]
        reported = [NOTHING if values[number] is None else f"{values[number]:.2f}" for _, values in published]
        seeds = f"{n} of {len(line.run_ids)}"
        trained = NOTHING if line.trainable_parameters is None else f"{line.trainable_parameters:,}"
        seconds = NOTHING if line.seconds is None else f"{line.seconds:,.0f}"
        rows.append((line.name, *figures, *reported, trained, seconds, seeds))
    return Grid(
        title=summary.title,
        notes=(*((summary.note,) if summary.note else ()), READING_INTERVALS if intervals else READING),
        headings=(
            Heading(label="row"),
            *_headings(summary.columns),
            *(heading for heading, _ in published),
            *headings("trained", "seconds", "seeds", minor=True),
        ),
        rows=tuple(rows),
    )


def _headings(columns: Sequence[Column]) -> list[Heading]:
    """Name each column by what sets it apart: dataset, split, images and surrogate only where these differ."""
    one_dataset = len({(column.dataset, column.split) for column in columns}) == 1
    details = [
        (*column.threat, f"n={column.n}")
        + ((column.precision,) if column.precision else ())
        + (() if one_dataset else (f"{column.dataset} {column.split}",))
        for column in columns
    ]
    plain = [Heading(label=c.attack or "clean", details=found) for c, found in zip(columns, details, strict=True)]
    return [
        heading if plain.count(heading) == 1 else dataclasses.replace(heading, details=(*heading.details, *_source(c)))
        for heading, c in zip(plain, columns, strict=True)
    ]


def _source(column: Column) -> tuple[str, ...]:
    images = f"images {column.images[:8]}"
    return (images, f"surrogate {column.surrogate[:8]}") if column.surrogate else (images,)


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


def summary_json(summary: Summary) -> str:
    """Return the summary as JSON, every figure in full."""
    lines = [{**vars(line), "published": line.published.model_dump()} for line in summary.lines]
    content = {**vars(summary), "lines": lines}
    return json.dumps(content, indent=1, default=dataclasses.asdict)
