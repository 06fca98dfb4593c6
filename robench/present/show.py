"""One record as text for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from robench.errors import DataError, nearest
from robench.present.harmless import line
from robench.records.corrupted import CorruptionRecord
from robench.records.labels import defence_label, tuner_label
from robench.records.measurement import Measured, drop, measurements
from robench.records.query_counts import told
from robench.records.record import AttackScore, AttackSpec, ComponentSpec, Provenance, RunResult, Score
from robench.statistics.calibration import Calibration, Figure, calibrations
from robench.statistics.corruptions import summarise
from robench.statistics.intervals import Rate, by_class, rate, success, wilson
from robench.statistics.worst_case import within_balls

NO_CONFIDENCES = "the record keeps no confidences; run it again with --force"
"""What readers say of an older record."""
BARS, COLUMNS = " ▁▂▃▄▅▆▇█", 48
"""Heights of a curve in a terminal, and its width."""


def find(records: Sequence[RunResult], text: str) -> RunResult:
    """Return the record whose run ID is `text`, or the only one whose run ID begins with it.

    Raises:
        DataError: No record, or several, match.
    """
    ids = {record.run_id: record for record in records}
    if text in ids:
        return ids[text]
    matches = [record for run_id, record in ids.items() if run_id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise DataError(f"no run {text!r}{nearest(text, ids) if len(ids) < 20 else ''}; see `robench leaderboard`")
    names = ", ".join(sorted(record.run_id for record in matches))
    raise DataError(f"{len(matches)} run IDs begin with {text!r}: {names}; type more of it")


def describe_run(result: RunResult) -> str:
    """Return what was asked for, what was measured, and with which software and hardware."""
    spec, made = result.spec, result.provenance
    lines = [f"run {result.run_id}: {result.status}, {made.started}", f"  {made.command}", ""]
    if result.error is not None:
        lines += [f"{result.error.type}: {result.error.message}", ""]
    parts: list[tuple[str, ComponentSpec]] = [("dataset", spec.dataset), ("model", spec.model), ("tuner", spec.tuner)]
    parts += [("trained on", spec.adversary)] if spec.adversary else []
    parts += [("defence", defence) for defence in spec.defences]
    parts += [("attack", attack) for attack in spec.attacks]
    parts += [("corruption", each) for each in spec.corruptions]
    lines += [f"{kind:10} {_component(part)}" for kind, part in parts]
    if result.tuning is not None:
        tuning = result.tuning
        lines.append(f"{'trainable':10} {tuning.trainable_parameters:,} of {tuning.parameters:,} parameters")
        for number, row in enumerate(tuning.history, 1):
            lines.append(f"{'epoch ' + format(row.get('epoch', number), '.10g'):10} {_history(row)}")
    if result.status == "completed":
        for found in measurements(result):
            lines += ["", *_accuracies(found)]
            lines += ["", *sure(found)]
        lines += [text for each in result.corruptions for text in ("", *corrupted(each))]
        lines += [_line(f"certified {each.norm} {each.eps}", wilson(each), "", "") for each in result.certified]
    if result.checks:
        lines += ["", f"checks: {result.verdict} ({result.checks_summary})"]
        for check in result.checks_worst_first:
            about = f"{check.name}, {check.attack}" if check.attack else check.name
            lines.append(f"  {check.verdict:10} {about}: {check.reason}")
    lines += [f"{spec.dataset.name}: {note}" for note in (result.data.notes if result.data else ())]
    lines += [f"warning: {warning}" for warning in result.warnings]
    lines += ["", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())]
    lines.append(f"{hardware_text(made)}, source {made.git or 'installed package'}")
    lines += [precision_text(made.precision)] if made.precision else []
    lines.append(", ".join(f"{name} {version}" for name, version in made.versions.items()))
    return "\n".join(map(line, lines))


def asked(result: RunResult) -> list[tuple[str, str]]:
    """Return what was asked for, as names and values."""
    spec = result.spec
    return [
        ("dataset", spec.dataset.label),
        ("model", spec.model.label),
        ("tuner", tuner_label(spec)),
        *([("defence", defence_label(spec))] if spec.defences else []),
        ("training images", "none" if spec.train_size is None else f"{spec.train_size:,}"),
        ("scored", f"{spec.test_size:,} {spec.split} images"),
        ("seed", str(spec.seed)),
    ]


def made_with(result: RunResult) -> list[tuple[str, str]]:
    """Return when a run started, its device and its source, as names and values."""
    made = result.provenance
    return [("started", made.started), ("device", hardware_text(made)), ("source", made.git or "installed package")]


def hardware_text(made: Provenance) -> str:
    """Return the device, the threads and the platform of a run, and whether attacks were compiled."""
    return f"{made.device}, {made.threads} threads, {made.platform}{', compiled attacks' if made.compiled else ''}"


def precision_text(used: Mapping[str, str]) -> str:
    """Return the precision of each stage, as ``evaluation in float32, ..., TF32 off``; empty if it is not recorded."""
    stages = [f"TF32 {value}" if stage == "tf32" else f"{stage} in {value}" for stage, value in used.items()]
    return ", ".join(stages)


def _component(part: ComponentSpec) -> str:
    params = ", ".join(f"{key}={value}" for key, value in part.params.items() if value is not None)
    text = f"{part.name}({params})"
    if isinstance(part, AttackSpec):
        text += f" on {_component(part.surrogate)}" if part.surrogate else ""
        text += f", {part.samples} answers averaged" if part.samples > 1 else ""
        text += f", {part.n:,} images"
    return text


def _history(row: dict[str, float]) -> str:
    """Return what was measured in one epoch: learning rate and losses as they are, all else in percent."""
    texts = {
        key: f"{value:g}" if key == "lr" else f"{value:.4f}" if key.endswith("loss") else f"{100 * value:.1f} %"
        for key, value in row.items()
    }
    return ", ".join(f"{key.replace('_', ' ')} {text}" for key, text in texts.items() if key != "epoch")


def _accuracies(found: Measured) -> list[str]:
    lines = [f"{found.dataset.label}, accuracy in percent with 95 % interval"]
    lines.append(_line("clean", wilson(found.clean), "", _classes(found, found.clean)))
    for score in found.attacks:
        about = f"{score.norm} {score.eps} {score.knowledge}, drop {drop(found.clean, score):.1f}"
        about += f", defence attacked: {score.defence}" if score.defence else ""
        broken = success(found.clean, score)
        about += f", success {broken.percent:.1f} of the {broken.n:,} right clean" if broken else ""
        about += f", largest change {255 * score.largest_norm:.4g}/255"
        lines.append(_line(score.label, wilson(score), about, _classes(found, score)))
        lines += _queries(score)
    for ball, right in within_balls(found.clean, found.attacks):
        why = "" if ball.measured else "at most: no white-box attack was made at this radius"
        lines.append(_line(f"worst case {ball.norm} {ball.eps}", rate(int(right.sum()), ball.n), why, ""))
    return lines


def _queries(score: AttackScore) -> list[str]:
    """Return accuracy against queries, in figures and as a curve whose queries grow geometrically; nothing without."""
    if (counts := score.queries) is None or not counts.most:
        return []
    numbers, end = counts.numbers(score.n), counts.budget or counts.most
    at = [0, *told(end)]
    percents = [f"{100 * right / score.n:.1f}" for right in counts.right_at(at, score.n)]
    limit = f"at most {counts.budget:,} queries an image" if counts.budget else "no limit of queries"
    text = f"    {limit}, {counts.asked / score.n:,.0f} on average"
    if (fallen := numbers[numbers > 0]).size:
        text += f"; of the {len(fallen):,} that fell half fell by query {int(np.median(fallen)):,}"
    places = [round(end ** (column / (COLUMNS - 1))) for column in range(COLUMNS)]
    bars = "".join(BARS[round((len(BARS) - 1) * right / score.n)] for right in counts.right_at(places, score.n))
    after = f"    right after {', '.join(f'{each:,}' for each in at)} queries: {', '.join(percents)} %"
    return [text, after, f"    1 {bars} {end:,} queries"]


def sure(found: Measured) -> list[str]:
    """Return how sure the network was, as lines; for an older record, that it does not tell."""
    figures = calibrations([found])
    if figures is None:
        return [f"{found.dataset.label}, calibration: {NO_CONFIDENCES}"]
    lines = [f"{found.dataset.label}, calibration with 95 % interval; see docs/calibration.md, nothing is ranked by it"]
    for name, each in figures.items():
        parts = [f"{title} {spread(figure, places)}" for title, figure, places in calibration_figures(each)]
        lines.append(f"  {name:32} {'; '.join(parts)}; of {each.n:,}")
    return lines


def calibration_figures(each: Calibration) -> list[tuple[str, Figure, int]]:
    """Return the figures of one set of images with their names, and how many decimals they are shown with."""
    found = [
        ("ECE %", each.ece, 1),
        ("RMS calibration error %", each.rms, 1),
        ("Brier", each.brier, 3),
        ("NLL", each.nll, 3),
        ("selective accuracy %", each.selective, 1),
    ]
    return found + ([("AUROC of detection %", each.auroc, 1)] if each.auroc else [])


def spread(figure: Figure, places: int) -> str:
    """Return a figure with its interval, such as ``3.2 [1.0, 5.1]``."""
    return f"{figure.value:.{places}f} [{figure.low:.{places}f}, {figure.high:.{places}f}]"


def beside(result: RunResult) -> list[str]:
    """Return in few lines what a completed run measured beside its attacks."""
    lines = []
    for summary in map(summarise, result.corruptions):
        curve = ", ".join(f"{rate.percent:.1f}" for rate in summary.by_severity)
        at = f"severity {', '.join(map(str, summary.severities))}"
        rate = summary.mean
        lines.append(
            f"corruptions {summary.label}: mean {rate.percent:.1f} [{rate.low:.1f}, {rate.high:.1f}] of {rate.n:,} "
            f"images; {at}: {curve}"
        )
    return lines


def corrupted(record: CorruptionRecord) -> list[str]:
    """Return the accuracies of a run on corrupted images, as lines: the mean, by severity, and of each corruption."""
    summary = summarise(record)
    several = len(summary.severities) > 1

    def of(name: str, found: Rate, curve: Iterable[float]) -> str:
        by = f"by severity {', '.join(f'{percent:.1f}' for percent in curve)}" if several else ""
        return _line(name, found, by, "")

    lines = [f"corruptions {summary.label}, accuracy in percent with 95 % interval; not ranked with attacks"]
    lines.append(of("mean", summary.mean, [each.percent for each in summary.by_severity]))
    lines += [of(name, found, summary.curves[name]) for name, found in summary.by_name.items()]
    return lines


def _line(name: str, rate: Rate, about: str, worst: str) -> str:
    text = f"  {name:32} {rate.percent:5.1f} [{rate.low:.1f}, {rate.high:.1f}] of {rate.n:,}"
    return "; ".join(part for part in (text, about, worst) if part)


def _classes(found: Measured, score: Score) -> str:
    labels = found.data.scored_labels()
    if labels is None:
        return ""
    by = by_class(score.mask(), labels, found.data.class_names)
    return f"macro {by.macro:.1f}, worst class {by.lowest_name} {by.lowest.percent:.1f} of {by.lowest.n:,}"
