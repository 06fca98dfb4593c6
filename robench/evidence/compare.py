"""Compare two runs: in which settings they differ, and whether their accuracies differ on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from robench.present.grid import NOTHING, Grid, headings
from robench.records.record import RunResult
from robench.records.spec import file_name
from robench.statistics.intervals import Mask
from robench.statistics.paired import Paired, holm, paired
from robench.statistics.worst_case import attacks_within, within_balls


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting in which two runs differ; None if a run lacks it."""

    setting: str
    first: Any
    second: Any


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One accuracy of two runs, measured on the same images.

    Attributes:
        name: ``clean``, the label of an attack, or the worst case within a ball.
        accuracies: Those of the first and the second run, in percent.
        found: The paired comparison, image by image.
        p: McNemar's p-value, adjusted for all accuracies compared (Holm).
    """

    name: str
    accuracies: tuple[float, float]
    found: Paired
    p: float


def differences(first: RunResult, second: RunResult) -> list[Difference]:
    """Return every setting, version and device in which two runs differ."""
    ours, theirs = (dict(_settings(run)) for run in (first, second))
    return [
        Difference(setting=key, first=ours.get(key), second=theirs.get(key))
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]


def contests(first: RunResult, second: RunResult) -> list[Contest]:
    """Compare every accuracy that both runs measured on the same images.

    Two attacks are the same if they share label, parameters, threat model, surrogate weights and number of images. A
    white-box attack makes different adversarial images for each network, from the same clean ones. The worst case of a
    ball is compared if both runs made the same attacks within it.
    """
    if first.data is None or second.data is None or first.data.test_fingerprint != second.data.test_fingerprint:
        return []
    ours, theirs = dict(_masks(first)), dict(_masks(second))
    shared = [key for key in ours if key in theirs and len(ours[key]) == len(theirs[key])]
    found = [paired(ours[key], theirs[key]) for key in shared]
    adjusted = holm([each.p for each in found])
    return [
        Contest(name=key[0], accuracies=(100 * ours[key].mean(), 100 * theirs[key].mean()), found=each, p=p)
        for key, each, p in zip(shared, found, adjusted, strict=True)
    ]


def settings_grid(found: Sequence[Difference]) -> Grid:
    """Return the differences as a table."""
    rows = tuple(
        (each.setting, *(NOTHING if value is None else str(value) for value in (each.first, each.second)))
        for each in found
    )
    title = "what differs" if rows else "Nothing differs: the same settings, versions and device."
    return Grid(title=title, headings=headings("setting", "A", "B"), rows=rows)


def contests_grid(found: Sequence[Contest]) -> Grid:
    """Return the compared accuracies as a table."""
    rows = tuple(
        (
            each.name,
            f"{each.accuracies[0]:.1f}",
            f"{each.accuracies[1]:.1f}",
            f"{each.found.difference:+.1f} [{each.found.low:+.1f}, {each.found.high:+.1f}]",
            str(each.found.only_first),
            str(each.found.only_second),
            str(each.found.n),
            f"{each.p:.2g}",
        )
        for each in found
    )
    title = "accuracy in percent on the same images; p: McNemar's test, adjusted for the number of lines (Holm)"
    if any(each.name.endswith("<=") for each in found):
        title += "; <=: upper bounds, as no white-box attack was made at that radius"
    if not rows:
        title = "No accuracy can be compared: the runs did not score the same images."
    names = ("", "A", "B", "B - A, 95 % interval", "only A right", "only B right", "n", "p")
    return Grid(title=title, headings=headings(*names), rows=rows)


def _settings(run: RunResult) -> Iterator[tuple[str, Any]]:
    yield from _flat(run.spec.model_dump(mode="json", exclude={"adapter": {"path"}}), "")
    made = run.provenance
    yield from _flat({"version": made.versions, "plugin": made.plugins, "code": made.code}, "")
    for role, sha256 in (made.contents or {}).items():
        yield f"content of {role}", f"{file_name(run.spec, role)} {sha256}".strip()
    yield from (("device", made.device), ("threads", made.threads), ("compiled", made.compiled))
    yield from (("platform", made.platform), ("source", made.git))
    if run.data is not None:
        yield "scored images", run.data.test_fingerprint
    if run.tuning is not None:
        yield "weights before tuning", run.tuning.model_fingerprint
        yield "weights after tuning", run.tuning.tuned_fingerprint


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts under dotted names; labels are left out, as they repeat the parameters."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "label":
                yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for inner in value:
            name = inner.get("label", "") if isinstance(inner, dict) else str(inner)
            yield from _flat(inner, f"{prefix.removesuffix('s')} {name}")
    else:
        yield prefix, value


def _masks(run: RunResult) -> Iterator[tuple[tuple[str, ...], Mask]]:
    """Yield what two runs must share for a comparison, its name first, and which images are right, ``bool (n,)``."""
    if run.clean is not None:
        yield ("clean",), run.clean.mask()
    made: dict[str, tuple[str, ...]] = {}
    for spec, score in zip(run.spec.attacks, run.attacks, strict=False):
        weights = score.surrogate.fingerprint if score.surrogate else ""
        made[score.label] = (str(sorted(spec.params.items())), score.norm, score.eps, score.knowledge, weights)
        yield (score.label, *made[score.label]), score.mask()
    for ball, right in within_balls(run.clean, run.attacks) if run.clean is not None else ():
        bound = "" if ball.measured else " <="
        within = attacks_within(ball, run.attacks)
        if len(within) > 1:  # else it is that attack
            made_of = sorted(str((label, *made[label])) for label in within)
            yield (f"worst case {ball.norm} {ball.eps}{bound}", *made_of), right
