"""The chapter that compares several runs: one table, and their transfer matrix."""

from __future__ import annotations

from collections.abc import Sequence

from robench.present.report.classification import macro_f1
from robench.present.report.parts import Chapter, Picture, Section, Table
from robench.records.labels import attack_label, tuner_label
from robench.records.measurement import COMPARED, comparison_key, measurements
from robench.records.record import AttackScore, RunResult
from robench.records.samples import Samples


def comparison(runs: Sequence[tuple[RunResult, Samples | None]]) -> Chapter:
    """Return one table of several runs and, if they attack each other, their transfer matrix."""
    from robench.present.figures.transfer import transfer, transfer_matrix

    records = [result for result, _ in runs]
    attacks = list(dict.fromkeys(_label(result, score) for result in records for score in result.attacks))
    headings = ("model, tuner", "clean", *attacks, "macro F1, clean", "scored on", "parameters")
    rows = tuple(_row(result, samples, attacks) for result, samples in runs)
    table = Table(headings=(*headings, "training images", "input", "epochs", "status", "run"), rows=rows)
    text = f"Accuracy and F1 in percent. {_comparable(records)}"
    sections = [Section(title="Models", text=(text,), tables=(table,))]
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
        return "All rows have the same images, attacks and n, and may be compared."
    return f"The rows differ in {', '.join(differing)}: do not rank them against each other."


def _label(result: RunResult, score: AttackScore) -> str:
    return attack_label(score.label, score.n, result.spec.test_size)


def _row(result: RunResult, samples: Samples | None, attacks: Sequence[str]) -> tuple[str, ...]:
    scores = {_label(result, score): f"{100 * score.accuracy:.1f}" for score in result.attacks}
    spec, data, tuning = result.spec, result.data, result.tuning
    images = f" ({data.test_fingerprint[:8]})" if data else ""
    f1 = "-"
    if samples is not None and data is not None:
        f1 = f"{macro_f1(samples.labels, samples.predictions, len(data.class_names)):.1f}"
    return (
        f"{spec.model.label}, {tuner_label(spec)}",
        f"{100 * result.clean.accuracy:.1f}" if result.clean else "-",
        *(scores.get(label, "-") for label in attacks),
        f1,
        f"{spec.dataset.label}, {spec.test_size:,} {spec.split}{images}",
        f"{tuning.parameters:,}" if tuning else "-",
        "none" if spec.train_size is None else f"{spec.train_size:,}",
        f"{data.image_size[0]} x {data.image_size[1]}" if data else "-",
        str(len(tuning.history)) if tuning else "-",
        result.status,
        result.run_id,
    )
