"""The result of a sweep: for each row, the mean over seeds and the deviation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import mean, stdev

from robench.records.labels import attack_label
from robench.records.measurement import measurements
from robench.records.record import RunResult, Score
from robench.statistics.intervals import mean_interval, wilson_interval
from robench.sweep.plan import Job, Published, Sweep


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column of figures measures; other images or other surrogate weights are another column.

    Attributes:
        dataset: The scored dataset, as typed.
        attack: The attack as typed; empty for clean accuracy.
        threat: Norm with radius, and knowledge, such as ``("Linf 8/255", "transfer")``; empty for clean accuracy.
        images: Fingerprint of the clean images.
        surrogate: Fingerprint of the surrogate's weights; empty if there is none.
        precision: What images were scored and attacked in; empty if all was float32.
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
    """An accuracy in percent over seeds, with the uncertainty from seeds and from images.

    Attributes:
        deviation: Sample standard deviation over seeds; None for one seed.
        over_seeds: 95 % interval of the mean over other seeds (Student's t); None for one seed.
        over_images: 95 % interval over other test images: Wilson's interval of one run. Averaging runs on the same
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
    """One row of a sweep over its recorded seeds; ``figures`` are those of the columns, None if not measured.

    ``chosen`` are the settings that were chosen on validation images, with the scores of all candidates.
    """

    name: str
    figures: tuple[Figure | None, ...]
    published: Published
    trainable_parameters: int | None
    seconds: float | None
    run_ids: dict[int, str]
    recorded: tuple[int, ...]
    chosen: str = ""


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
    found: dict[str, dict[int, list[RunResult]]] = {row.name: {} for row in sweep.rows}
    scores: dict[str, dict[int, dict[Column, float]]] = {row.name: {} for row in sweep.rows}
    for job in planned:
        if job.run_id in completed:
            record = completed[job.run_id]
            found[job.row].setdefault(job.seed, []).append(record)
            measured = {column: 100 * score.accuracy for column, score in _columns(record)}
            scores[job.row].setdefault(job.seed, {}).update(measured)
    columns = tuple(
        dict.fromkeys(column for by_seed in scores.values() for scored in by_seed.values() for column in scored)
    )
    lines = []
    for row in sweep.rows:
        records = found[row.name]
        tuned = [each.tuning.trainable_parameters for parts in records.values() for each in parts if each.tuning]
        seconds = [sum(each.seconds["total"] for each in parts) for parts in records.values()]
        lines.append(
            Line(
                name=row.name,
                figures=tuple(_figure(scores[row.name], column) for column in columns),
                published=row.published,
                trainable_parameters=max(tuned, default=None),
                seconds=mean(seconds) if seconds else None,
                run_ids=_run_ids(job for job in planned if job.row == row.name),
                recorded=tuple(records),
                chosen=row.chosen,
            )
        )
    return Summary(title=sweep.title, note=sweep.note, seeds=sweep.seeds, columns=columns, lines=tuple(lines))


def _run_ids(jobs: Iterable[Job]) -> dict[int, str]:
    """Return the run of each seed; of a row on a suite its runs, with spaces between them."""
    found: dict[int, list[str]] = {}
    for job in jobs:
        found.setdefault(job.seed, []).append(job.run_id)
    return {seed: " ".join(ids) for seed, ids in found.items()}


def _columns(record: RunResult) -> Iterator[tuple[Column, Score]]:
    """Yield all scores of a record with their columns; the clean one comes before the attacks."""
    spec = record.spec
    for measured in measurements(record):
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
        yield clean, measured.clean
        for score in measured.attacks:
            attacked = dataclasses.replace(
                clean,
                attack=attack_label(score.label, score.n, measured.clean.n),
                threat=(f"{score.norm} {score.eps}", score.knowledge),
                n=score.n,
                surrogate=score.surrogate.fingerprint if score.surrogate else "",
            )
            yield attacked, score


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


def summary_json(summary: Summary) -> str:
    """Return the summary as JSON, every figure in full."""
    lines = [{**vars(line), "published": line.published.model_dump()} for line in summary.lines]
    content = {**vars(summary), "lines": lines}
    return json.dumps(content, indent=1, default=dataclasses.asdict)
