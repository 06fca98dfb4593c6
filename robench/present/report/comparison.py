"""The chapter that compares several runs: one table, and their transfer matrix."""

from __future__ import annotations

from collections.abc import Sequence

from robench.present.report.classification import macro_f1
from robench.present.report.parts import Chapter, Picture, Section, Table
from robench.present.report.summary import case_of, name_of, of_runs, written
from robench.records.labels import attack_label
from robench.records.measurement import COMPARED, comparison_key, measurements
from robench.records.record import AttackScore, RunResult
from robench.records.samples import Samples
from robench.statistics.intervals import rate, wilson
from robench.statistics.worst_case import balls, within_balls

COMPARABLE = "All rows have the same images, attacks and n, and may be compared."


def comparison(runs: Sequence[tuple[RunResult, Samples | None]]) -> Chapter:
    """Return one table of several runs and, if they attack each other, their transfer matrix."""
    from robench.present.figures.transfer import transfer, transfer_matrix

    records = [result for result, _ in runs]
    attacks = list(dict.fromkeys(_label(result, score) for result in records for score in result.attacks))
    cases = list(dict.fromkeys(case_of(ball) for result in records for ball in balls(list(result.attacks))))
    comparable = _comparable(records)
    ranks, best = ([""] * len(runs), ()) if comparable != COMPARABLE else of_runs(records)
    headings = (
        "model, tuner",
        "rank",
        "checks",
        "clean",
        *cases,
        *attacks,
        "macro F1, clean",
        "scored on",
        "parameters",
    )
    rows = tuple(
        _row(result, samples, rank, attacks, cases) for (result, samples), rank in zip(runs, ranks, strict=True)
    )
    table = Table(headings=(*headings, "training images", "input", "epochs", "status", "run"), rows=rows)
    if comparable != COMPARABLE:
        table = _without(table, "rank")
    text = f"Accuracy in percent with its 95 % interval, and F1 in percent. {comparable}"
    sections = [Section(title="Models", text=(*best, text), tables=(table,))]
    matrix = transfer_matrix(records)
    if matrix is not None and len(matrix[1]) > 1:
        picture = Picture(
            name="transfer",
            description="how often images made on each model fool each, in % of those right before",
            draw=lambda: transfer(records),
        )
        sections.append(Section(title="Transfer", pictures=(picture,)))
    return Chapter(title=f"Comparison of {len(runs)} runs", sections=tuple(sections))


def _comparable(records: Sequence[RunResult]) -> str:
    """Say whether the rows may be compared; if not, in what they differ."""
    completed = [result for result in records if result.status == "completed"]
    parts = zip(*(comparison_key(measurements(result)[0]) for result in completed), strict=True)
    differing = [name for name, values in zip(COMPARED, parts, strict=False) if len(set(values)) > 1]
    differing += ["status"] * (len(completed) < len(records))
    if not differing:
        return COMPARABLE
    return f"The rows differ in {', '.join(differing)}: do not rank them against each other."


def _label(result: RunResult, score: AttackScore) -> str:
    return attack_label(score.label, score.n, result.spec.test_size)


def _without(table: Table, heading: str) -> Table:
    """Return a table without one of its columns."""
    at = table.headings.index(heading)
    rows = tuple((*row[:at], *row[at + 1 :]) for row in table.rows)
    return Table(headings=(*table.headings[:at], *table.headings[at + 1 :]), rows=rows)


def _row(
    result: RunResult, samples: Samples | None, rank: str, attacks: Sequence[str], cases: Sequence[str]
) -> tuple[str, ...]:
    scores = {_label(result, score): written(wilson(score)) for score in result.attacks}
    if result.data is not None and result.clean is not None:
        found = measurements(result)[0]
        for ball, right in within_balls(found.clean, found.attacks):
            scores[case_of(ball)] = written(rate(int(right.sum()), ball.n), bound=not ball.measured)
    spec, data, tuning = result.spec, result.data, result.tuning
    images = f" ({data.test_fingerprint[:8]})" if data else ""
    f1 = "-"
    if samples is not None and data is not None:
        f1 = f"{macro_f1(samples.labels, samples.predictions, len(data.class_names)):.1f}"
    return (
        name_of(result),
        rank,
        result.verdict or "none",
        written(wilson(result.clean)) if result.clean else "-",
        *(scores.get(label, "-") for label in (*cases, *attacks)),
        f1,
        f"{spec.dataset.label}, {spec.test_size:,} {spec.split}{images}",
        f"{tuning.parameters:,}" if tuning else "-",
        "none" if spec.train_size is None else f"{spec.train_size:,}",
        f"{data.image_size[0]} x {data.image_size[1]}" if data else "-",
        str(len(tuning.history)) if tuning else "-",
        result.status,
        result.run_id,
    )
