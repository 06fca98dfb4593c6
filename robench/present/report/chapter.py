"""The chapter of one run: everything its record says, as text, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robench.present.figures.balance import counts
from robench.present.figures.catalogue import catalogue
from robench.present.figures.classes import class_accuracy
from robench.present.report.classification import classification
from robench.present.report.parts import Chapter, Picture, Section, Table
from robench.present.report.summary import case_of, name_of, of_run
from robench.present.show import NO_CONFIDENCES, asked, calibration_figures, made_with, precision_text, spread
from robench.records.measurement import drop, measurements
from robench.records.record import RunResult
from robench.records.samples import Samples
from robench.statistics.calibration import calibrations
from robench.statistics.corruptions import summarise
from robench.statistics.intervals import Mask, Rate, rate, success, wilson
from robench.statistics.worst_case import within_balls

SETTINGS = ("setting", "value")
DESCRIPTIONS = {
    "confusion": "confusion matrices, clean and under each attack",
    "curves": "loss and accuracy of each epoch",
    "balance": "images of each class, before and after balancing, and scored",
    "augmented": "training images, each followed by augmented versions",
    "patches": "an image and the heat map of its encoded patches",
    "examples": "clean images, amplified changes and adversarial images with predictions",
    "similarity": "similarity of sample images and classes",
    "security": "accuracy against the size of the attack",
    "corruptions": "accuracy against the severity of corruptions",
    "queries": "accuracy against the number of queries",
    "reliability": "accuracy against confidence, clean and under each attack",
}


def chapter(result: RunResult, samples: Samples | None) -> Chapter:
    """Return everything that is known of one run; what is missing is named."""
    spec, tuning = result.spec, result.tuning
    figures = _Figures(result, samples)
    parameters = "The run stopped before there was a network."
    if tuning is not None:
        parameters = f"{tuning.parameters:,} parameters, {tuning.trainable_parameters:,} of them trained."
    sections = [
        Section(title="Result", text=of_run(result)),
        _run(result),
        _accuracy(result),
        _calibration(result, figures),
        _corruptions(result, figures),
        *_classes(result, samples, figures),
        _checks(result),
        Section(title="Training", text=_training(result), pictures=figures.pictures("curves")),
        figures.section("Class distribution", "balance", tables=_counts(result)),
        figures.section("Augmentation", "augmented"),
        figures.section("Encoded patches", "patches"),
        figures.section("Samples", "examples", "similarity"),
        figures.section("Accuracy against attack strength", "security"),
        figures.section("Accuracy against queries", "queries"),
        Section(title="Parameters", text=(parameters,), tables=_layers(result)),
        Section(title="Made with", tables=(_made_with(result),)),
        Section(title="Not in this report", text=figures.missing()),
    ]
    # A heading without anything below it tells nothing.
    kept = tuple(each for each in sections if each.text or each.tables or each.pictures)
    return Chapter(title=f"{name_of(result)} on {spec.dataset.label}, run {result.run_id}", sections=kept)


class _Figures:
    """The figures of a run, and why it lacks the others."""

    def __init__(self, result: RunResult, samples: Samples | None) -> None:
        self.run_id, self.found = result.run_id, catalogue(result, samples)
        self._lacking: dict[str, list[str]] = {}

    def pictures(self, *names: str) -> tuple[Picture, ...]:
        """Return those of the figures `names` that can be drawn."""
        return tuple(
            Picture(name=f"{self.run_id}-{name}", description=DESCRIPTIONS[name], draw=draw)
            for name in names
            if not isinstance(draw := self.found[name], str)
        )

    def section(self, title: str, *names: str, tables: tuple[Table, ...] = ()) -> Section:
        """Return a section with the figures `names`; it is empty if the first one is missing, and has no table."""
        reason = self.found[names[0]]
        if isinstance(reason, str):
            self._lacking.setdefault(reason, []).append(title)
        return Section(title=title, tables=tables, pictures=self.pictures(*names))

    def missing(self) -> tuple[str, ...]:
        """Return what is missing of the sections made so far, and why."""
        return tuple(f"{', '.join(titles)}: {reason}." for reason, titles in self._lacking.items())


def _run(result: RunResult) -> Section:
    rows = [("status", result.status), *asked(result), ("command", result.provenance.command)]
    notes = [f"Error: {result.error.type}: {result.error.message}"] if result.error else []
    notes += [f"Warning: {warning}" for warning in result.warnings]
    notes += [f"Data: {note}." for note in (result.data.notes if result.data else ())]
    return Section(title="Run", text=tuple(notes), tables=(Table(headings=SETTINGS, rows=tuple(rows), words=True),))


def _accuracy(result: RunResult) -> Section:
    text: tuple[str, ...] = ()
    if result.status != "completed":
        text = (f"The run is {result.status}, so its figures are incomplete.",)
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
            share = f"{broken.percent:.1f} of {broken.n:,}" if broken else "-"
            rows.append((*_rated(score.label, wilson(score), threat, f"{drop(found.clean, score):.1f}"), share))
        for ball, right in within_balls(found.clean, found.attacks):
            name = case_of(ball) + ("" if ball.measured else ", an upper bound: no white-box attack there")
            rows.append((*_rated(name, rate(int(right.sum()), ball.n), f"{ball.norm} {ball.eps}", ""), ""))
    headings = ("scored on", "accuracy, %", "95 % interval", "n", "threat", "drop", "success, % of those right clean")
    return Section(title="Accuracy", text=text, tables=(Table(headings=headings, rows=tuple(rows)),))


def _rated(name: str, found: Rate, threat: str, fall: str) -> tuple[str, ...]:
    return name, f"{found.percent:.1f}", f"{found.low:.1f} to {found.high:.1f}", f"{found.n:,}", threat, fall


def _calibration(result: RunResult, figures: _Figures) -> Section:
    """Return how sure the network was of its answers."""
    if result.status != "completed":
        return Section(title="Calibration")
    rows: list[tuple[str, ...]] = []
    headings: list[str] = []
    for found in measurements(result):
        known = calibrations([found])
        if known is None:
            return Section(title="Calibration", text=(f"Not known: {NO_CONFIDENCES}.",))
        for name, each in known.items():
            shown = {title: spread(figure, places) for title, figure, places in calibration_figures(each)}
            headings = [*headings, *(title for title in shown if title not in headings)]
            label = f"{found.dataset.label}, clean" if name == "clean" else name
            rows.append((label, f"{each.n:,}", *(shown.get(title, "-") for title in headings)))
    filled = tuple((*row, *["-"] * (2 + len(headings) - len(row))) for row in rows)
    table = Table(headings=("answers to", "n", *headings), rows=filled)
    text = "How sure the network was, with 95 % bootstrap intervals over images. No method is ranked by these figures."
    return Section(title="Calibration", text=(text,), tables=(table,), pictures=figures.pictures("reliability"))


def _corruptions(result: RunResult, figures: _Figures) -> Section:
    """Return the accuracies on corrupted images; nothing if none were asked for."""
    if not result.corruptions:
        return Section(title="Corruptions")
    tables = []
    for summary in map(summarise, result.corruptions):
        rows = [("mean", summary.mean, [each.percent for each in summary.by_severity])]
        rows += [(name, rate, list(summary.curves[name])) for name, rate in summary.by_name.items()]
        cells = tuple(
            (*_rated(name, rate, "", "")[:4], *(f"{percent:.1f}" for percent in curve)) for name, rate, curve in rows
        )
        severities = (f"severity {each}" for each in summary.severities)
        headings = (summary.label, "accuracy, %", "95 % interval", "n", *severities)
        tables.append(Table(headings=headings, rows=cells))
    text = "No adversary made these images, so their accuracies are not compared with those under attack."
    return Section(title="Corruptions", text=(text,), tables=tuple(tables), pictures=figures.pictures("corruptions"))


def _classes(result: RunResult, samples: Samples | None, figures: _Figures) -> list[Section]:
    if samples is None or result.data is None:
        return [figures.section("Classes", "confusion")]
    names = result.data.class_names
    sections = []
    for name, found in (("clean", samples.predictions), *((a.label, a.predictions) for a in samples.attacks)):
        labels = samples.labels[: len(found)]
        robust = "" if name == "clean" else " Recall is the robust accuracy of the class."
        text = f"Lowest accuracy of a class: {_lowest(found == labels, labels, names)}.{robust}"
        table = classification(labels, found, [_readable(name) for name in names])
        sections.append(Section(title=f"Classes, {name}", text=(text,), tables=(table,)))
    worst = tuple(
        f"Lowest accuracy of a class in the {case_of(ball)}: {_lowest(right, samples.labels[: ball.n], names)}."
        for ball, right in (within_balls(result.clean, result.attacks) if result.clean else ())
    )
    return [*sections, Section(title="Confusion", text=worst, pictures=figures.pictures("confusion"))]


def _lowest(right: Mask, labels: NDArray[np.int64], names: Sequence[str]) -> str:
    """Return the lowest accuracy of a class, and which classes have it."""
    accuracy = class_accuracy(labels, right, len(names))
    lowest = np.flatnonzero(accuracy == np.nanmin(accuracy))
    more = f" and {len(lowest) - 1} more" if len(lowest) > 1 else ""
    return f"{100 * accuracy[lowest[0]]:.1f} %, {_readable(names[lowest[0]])}{more}"


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _checks(result: RunResult) -> Section:
    if not result.checks:
        return Section(title="Checks", text=("Nothing was checked.",))
    rows = tuple((found.verdict, found.name, found.attack, found.reason) for found in result.checks_worst_first)
    table = Table(headings=("verdict", "check", "attack", "figures"), rows=rows, words=True)
    return Section(title="Checks", text=(f"{result.checks_summary}.",), tables=(table,))


def _training(result: RunResult) -> tuple[str, ...]:
    history = result.tuning.history if result.tuning else ()
    if not history:
        return ("Nothing was trained.",)
    params = result.spec.tuner.params
    text = f"{len(history)} of at most {params.get('epochs', len(history))} epochs"
    text += f", loss {history[-1]['loss']:.4f} at last" if "loss" in history[-1] else ""
    validated = [row for row in history if np.isfinite(row.get("validation_loss", np.nan))]
    if validated:
        best = min(validated, key=lambda row: row["validation_loss"])
        text += f"; lowest validation loss {best['validation_loss']:.4f}"
        text += f" in epoch {best['epoch']:.0f}" if "epoch" in best else ""
    if "lr" in history[0] and "lr" in history[-1]:
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


def _layers(result: RunResult) -> tuple[Table, ...]:
    if result.tuning is None or not result.tuning.layers:
        return ()
    rows = tuple((name, f"{size:,}") for name, size in result.tuning.layers.items())
    return (Table(headings=("layer", "parameters"), rows=rows),)


def _made_with(result: RunResult) -> Table:
    started, device, source = made_with(result)
    rows = [
        *(started, device, ("precision", precision_text(result.provenance.precision) or "not recorded"), source),
        *((f"time, {stage}", f"{seconds:.1f} s") for stage, seconds in result.seconds.items()),
        *result.provenance.versions.items(),
    ]
    return Table(headings=SETTINGS, rows=tuple(rows), words=True)
