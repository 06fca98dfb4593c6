"""All that one record says, for a person to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robench.errors import DataError, nearest
from robench.records.measurement import Measured, drop, measurements
from robench.records.record import AttackSpec, Check, ComponentSpec, Provenance, RunResult, Score
from robench.statistics.intervals import Rate, by_class, success, wilson


def find(records: Sequence[RunResult], text: str) -> RunResult:
    """Return the record whose run id is, or alone begins with, `text`.

    Raises:
        DataError: There is none, or more than one.
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
    raise DataError(f"run {text!r} is the beginning of {len(matches)}: {names}")


def describe_run(result: RunResult) -> str:
    """Return what was asked, what was found, and with what."""
    spec, made = result.spec, result.provenance
    lines = [f"run {result.run_id}: {result.status}, {made.started}", f"  {made.command}", ""]
    if result.error is not None:
        lines += [f"{result.error.type}: {result.error.message}", ""]
    parts: list[tuple[str, ComponentSpec]] = [("dataset", spec.dataset), ("model", spec.model), ("tuner", spec.tuner)]
    parts += [("trained on", spec.adversary)] if spec.adversary else []
    parts += [("attack", attack) for attack in spec.attacks]
    lines += [f"{kind:10} {_component(part)}" for kind, part in parts]
    if result.tuning is not None:
        tuning = result.tuning
        lines.append(f"{'trainable':10} {tuning.trainable_parameters:,} of {tuning.parameters:,} parameters")
        lines += [f"{'epoch ' + str(int(row['epoch'])):10} {_history(row)}" for row in tuning.history]
    if result.status == "completed":
        for found in measurements(result):
            lines += ["", *_accuracies(found)]
    if result.checks:
        lines += ["", f"checks: {result.verdict}", *map(_check, result.checks)]
    lines += [f"{spec.dataset.name}: {note}" for note in (result.data.notes if result.data else ())]
    lines += [f"warning: {warning}" for warning in result.warnings]
    lines += ["", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())]
    lines.append(f"{hardware_text(made)}, source {made.git or 'installed package'}")
    lines += [precision_text(made.precision)] if made.precision else []
    lines.append(", ".join(f"{name} {version}" for name, version in made.versions.items()))
    return "\n".join(lines)


def hardware_text(made: Provenance) -> str:
    """Return the device, the threads and the platform of a run, and whether it compiled."""
    return f"{made.device}, {made.threads} threads, {made.platform}{', compiled attacks' if made.compiled else ''}"


def precision_text(used: Mapping[str, str]) -> str:
    """Return what each stage computed in, as ``evaluation in float32, ..., TF32 off``; empty if nothing was kept."""
    stages = [f"TF32 {value}" if stage == "tf32" else f"{stage} in {value}" for stage, value in used.items()]
    return ", ".join(stages)


def _check(found: Check) -> str:
    about = f"{found.name}, {found.attack}" if found.attack else found.name
    return f"  {found.verdict:7} {about}: {found.reason}"


def _component(part: ComponentSpec) -> str:
    params = ", ".join(f"{key}={value}" for key, value in part.params.items() if value is not None)
    text = f"{part.name}({params})"
    if isinstance(part, AttackSpec):
        text += f" on {_component(part.surrogate)}" if part.surrogate else ""
        text += f", {part.n:,} images"
    return text


def _history(row: dict[str, float]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_measure(key, value)}" for key, value in row.items() if key != "epoch")


def _measure(key: str, value: float) -> str:
    if key == "lr":
        return f"{value:g}"
    return f"{value:.4f}" if key.endswith("loss") else f"{100 * value:.1f} %"


def _accuracies(found: Measured) -> list[str]:
    lines = [f"{found.dataset.label}, accuracy in percent with 95 % interval"]
    lines.append(_line("clean", wilson(found.clean), "", _classes(found, found.clean)))
    for score in found.attacks:
        about = f"{score.norm} {score.eps} {score.knowledge}, drop {drop(found.clean, score):.1f}"
        broken = success(found.clean, score)
        about += f", success {broken.percent:.1f} of the {broken.n:,} right clean" if broken else ""
        about += f", largest change {255 * score.largest_norm:.4g}/255"
        lines.append(_line(score.label, wilson(score), about, _classes(found, score)))
    for worst in found.worst_case:
        lines.append(_line(f"worst case {worst.norm}", wilson(worst), f"over {', '.join(worst.attacks)}", ""))
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
