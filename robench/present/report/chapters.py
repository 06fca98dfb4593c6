"""From records and samples to chapters: every figure of a report, none of its looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from robench.present.figures.balance import counts
from robench.present.figures.catalogue import catalogue
from robench.present.figures.classes import class_accuracy
from robench.present.report.classification import classification, macro_f1
from robench.present.report.parts import Chapter, Picture, Section, Table
from robench.present.show import hardware_text, precision_text
from robench.records.labels import attack_label, tuner_label
from robench.records.measurement import COMPARED, comparison_key, drop, measurements
from robench.records.record import AttackScore, RunResult
from robench.records.samples import Samples
from robench.statistics.intervals import Mask, Rate, success, wilson

DESCRIPTIONS = {
    "confusion": "confusion matrices, clean and under each attack",
    "curves": "loss and accuracy of each epoch",
    "balance": "images of each class, before and after balancing, and scored",
    "augmented": "training images, each followed by augmented versions",
    "patches": "an image and the heat map of its encoded patches",
    "examples": "clean images, amplified changes and adversarial images with predictions",
    "similarity": "similarity of sample images and classes",
    "security": "accuracy against the size of the attack",
}


def chapter(result: RunResult, samples: Samples | None) -> Chapter:
    """Return all that one run says; what it lacks, it says."""
    sections = [_run(result), _accuracy(result), *_classes(result, samples)]
    pictures = _Pictures(result, samples)
    sections += [
        Section(title="Checks", text=() if result.checks else ("Nothing was checked.",), tables=_checks(result)),
        Section(title="Training", text=_training(result), pictures=pictures("curves")),
        Section(
            title="Class distribution",
            text=pictures.missing("balance"),
            tables=_counts(result),
            pictures=pictures("balance"),
        ),
        Section(title="Augmentation", text=pictures.missing("augmented"), pictures=pictures("augmented")),
        Section(title="Encoded patches", text=pictures.missing("patches"), pictures=pictures("patches")),
        Section(title="Samples", text=pictures.missing("examples"), pictures=pictures("examples", "similarity")),
        Section(
            title="Accuracy against attack strength", text=pictures.missing("security"), pictures=pictures("security")
        ),
        Section(title="Parameters", text=_parameters(result), tables=_layers(result)),
        Section(title="Made with", tables=(_made_with(result),)),
    ]
    return Chapter(title=f"{_name(result)}, run {result.run_id}", sections=tuple(sections))


def comparison(runs: Sequence[tuple[RunResult, Samples | None]]) -> Chapter:
    """Return one table of several runs and the transfer matrix of those that attack each other."""
    from robench.present.figures.transfer import transfer, transfer_matrix

    records = [result for result, _ in runs]
    attacks = list(dict.fromkeys(_label(result, score) for result in records for score in result.attacks))
    headings = ("model, tuner", "clean", *attacks, "macro F1, clean", "scored on", "parameters")
    rows = tuple(_compared(result, samples, attacks) for result, samples in runs)
    table = Table(headings=(*headings, "training images", "input", "epochs", "status", "run"), rows=rows)
    text = f"Accuracy and F1 in percent. {_comparable(records)}"
    sections = [Section(title="Models", text=(text,), tables=(table,))]
    matrix = transfer_matrix(records)
    if matrix is not None and len(matrix[1]) > 1:
        picture = Picture(
            name="transfer",
            description="accuracy of each model on the adversarial images made on each",
            draw=lambda: transfer(records),
        )
        sections.append(Section(title="Transfer", pictures=(picture,)))
    return Chapter(title=f"Comparison of {len(runs)} runs", sections=tuple(sections))


def _name(result: RunResult) -> str:
    return f"{result.spec.model.label}, {tuner_label(result.spec)} on {result.spec.dataset.label}"


class _Pictures:
    """The figures a run can have, and why it has no others."""

    def __init__(self, result: RunResult, samples: Samples | None) -> None:
        self.run_id, self.found = result.run_id, catalogue(result, samples)

    def __call__(self, *names: str) -> tuple[Picture, ...]:
        drawn: list[tuple[str, Callable[[], object]]] = [
            (name, draw) for name in names if not isinstance(draw := self.found[name], str)
        ]
        return tuple(
            Picture(name=f"{self.run_id}-{name}", description=DESCRIPTIONS[name], draw=draw)  # type: ignore[arg-type]
            for name, draw in drawn
        )

    def missing(self, name: str) -> tuple[str, ...]:
        reason = self.found[name]
        return (f"No figure: {reason}.",) if isinstance(reason, str) else ()


def _run(result: RunResult) -> Section:
    spec = result.spec
    rows = [
        ("status", result.status),
        ("dataset", spec.dataset.label),
        ("model", spec.model.label),
        ("tuner", tuner_label(spec)),
        ("training images", "none" if spec.train_size is None else f"{spec.train_size:,}"),
        ("scored", f"{spec.test_size:,} {spec.split} images"),
        ("seed", str(spec.seed)),
        ("command", result.provenance.command),
    ]
    notes = [f"Error: {result.error.type}: {result.error.message}"] if result.error else []
    notes += [f"Warning: {warning}" for warning in result.warnings]
    notes += [f"Data: {note}." for note in (result.data.notes if result.data else ())]
    return Section(title="Run", text=tuple(notes), tables=(Table(headings=("", ""), rows=tuple(rows), words=True),))


def _accuracy(result: RunResult) -> Section:
    text: tuple[str, ...] = ()
    if result.status != "completed":
        text = (f"The run is {result.status}, so that its figures are not whole.",)
    if result.data is None or result.clean is None:
        return Section(title="Accuracy", text=(*text, "It stopped before images were scored."))
    if len(result.attacks) < len(result.spec.attacks):
        text += (f"Of {len(result.spec.attacks)} attacks asked for, {len(result.attacks)} were carried out.",)
    rows = []
    for found in measurements(result):
        rows.append((*_rated(f"{found.dataset.label}, clean", wilson(found.clean), "", ""), ""))
        for score in found.attacks:
            threat = f"{score.norm} {score.eps} {score.knowledge}"
            broken = success(found.clean, score)
            rate = f"{broken.percent:.1f} of {broken.n:,}" if broken else "-"
            rows.append((*_rated(score.label, wilson(score), threat, f"{drop(found.clean, score):.1f}"), rate))
        rows += [
            (*_rated(f"worst case over {', '.join(worst.attacks)}", wilson(worst), f"{worst.norm} {worst.eps}", ""), "")
            for worst in found.worst_case
        ]
    headings = ("scored on", "accuracy, %", "95 % interval", "n", "threat", "drop", "success, % of those right clean")
    return Section(title="Accuracy", text=text, tables=(Table(headings=headings, rows=tuple(rows)),))


def _rated(name: str, rate: Rate, threat: str, fall: str) -> tuple[str, ...]:
    return name, f"{rate.percent:.1f}", f"{rate.low:.1f} to {rate.high:.1f}", f"{rate.n:,}", threat, fall


def _classes(result: RunResult, samples: Samples | None) -> list[Section]:
    pictures = _Pictures(result, samples)
    if samples is None or result.data is None:
        return [Section(title="Classes", text=pictures.missing("confusion"))]
    names = result.data.class_names
    sections = []
    for name, found in (("clean", samples.predictions), *((a.label, a.predictions) for a in samples.attacks)):
        labels = samples.labels[: len(found)]
        robust = "" if name == "clean" else " Recall is the robust accuracy of the class."
        text = f"Lowest accuracy of a class: {_lowest(found == labels, labels, names)}.{robust}"
        table = classification(labels, found, [_readable(name) for name in names])
        sections.append(Section(title=f"Classes, {name}", text=(text,), tables=(table,)))
    worst = tuple(
        f"Lowest robust accuracy of a class over all attacks at {worst.norm} {worst.eps}: "
        f"{_lowest(worst.mask(), samples.labels[: worst.n], names)}."
        for worst in result.worst_case
    )
    return [*sections, Section(title="Confusion", text=worst, pictures=pictures("confusion"))]


def _lowest(right: Mask, labels: NDArray[np.int64], names: Sequence[str]) -> str:
    """Return the lowest accuracy of a class, and which classes have it."""
    accuracy = class_accuracy(labels, np.where(right, labels, len(names)), len(names))
    lowest = np.flatnonzero(accuracy == np.nanmin(accuracy))
    more = f" and {len(lowest) - 1} more" if len(lowest) > 1 else ""
    return f"{100 * accuracy[lowest[0]]:.1f} %, {_readable(names[lowest[0]])}{more}"


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _training(result: RunResult) -> tuple[str, ...]:
    history = result.tuning.history if result.tuning else ()
    if not history:
        return ("Nothing was trained.",)
    params = result.spec.tuner.params
    text = (
        f"{len(history)} of at most {params.get('epochs', len(history))} epochs, loss {history[-1]['loss']:.4f} at last"
    )
    judged = [row for row in history if np.isfinite(row.get("validation_loss", np.nan))]
    if judged:
        best = min(judged, key=lambda row: row["validation_loss"])
        text += f"; lowest validation loss {best['validation_loss']:.4f} in epoch {best['epoch']:.0f}"
    if "lr" in history[0]:
        text += f"; learning rate {history[0]['lr']:g} at first, {history[-1]['lr']:g} at last"
    if params.get("keep") == "best":
        text += "; the weights of the best epoch were kept"
    return (f"{text}.",)


def _counts(result: RunResult) -> tuple[Table, ...]:
    series = counts(result)
    if not series or result.data is None:
        return ()
    rows = [
        (_readable(name), *(f"{values[at]:,}" for values in series.values()))
        for at, name in enumerate(result.data.class_names)
    ]
    rows.append(("all", *(f"{sum(values):,}" for values in series.values())))
    return (Table(headings=("class", *series), rows=tuple(rows)),)


def _checks(result: RunResult) -> tuple[Table, ...]:
    rows = tuple((found.verdict, found.name, found.attack, found.reason) for found in result.checks)
    return (Table(headings=("verdict", "check", "attack", "figures"), rows=rows, words=True),) if rows else ()


def _parameters(result: RunResult) -> tuple[str, ...]:
    if result.tuning is None:
        return ("The run stopped before there was a network.",)
    return (f"{result.tuning.parameters:,} parameters, {result.tuning.trainable_parameters:,} of them trained.",)


def _layers(result: RunResult) -> tuple[Table, ...]:
    if result.tuning is None or not result.tuning.layers:
        return ()
    rows = tuple((name, f"{size:,}") for name, size in result.tuning.layers.items())
    return (Table(headings=("layer", "parameters"), rows=rows),)


def _made_with(result: RunResult) -> Table:
    made = result.provenance
    rows = [
        ("started", made.started),
        ("device", hardware_text(made)),
        ("precision", precision_text(made.precision) or "not recorded"),
        ("source", made.git or "installed package"),
        *((f"time, {stage}", f"{seconds:.1f} s") for stage, seconds in result.seconds.items()),
        *made.versions.items(),
    ]
    return Table(headings=("", ""), rows=tuple(rows), words=True)


def _comparable(records: Sequence[RunResult]) -> str:
    """Say whether the rows may be compared, and if not, what of their test differs."""
    completed = [result for result in records if result.status == "completed"]
    parts = zip(*(comparison_key(measurements(result)[0]) for result in completed), strict=True)
    differing = [name for name, values in zip(COMPARED, parts, strict=False) if len(set(values)) > 1]
    differing += ["status"] * (len(completed) < len(records))
    if not differing:
        return "All rows have the same images, attacks and n, so that they may be compared."
    return f"Rows that differ in {', '.join(differing)} are not to be ranked against each other."


def _label(result: RunResult, score: AttackScore) -> str:
    return attack_label(score.label, score.n, result.spec.test_size)


def _compared(result: RunResult, samples: Samples | None, attacks: Sequence[str]) -> tuple[str, ...]:
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
