"""Security curves: accuracy against epsilon, and against the number of steps (Biggio and Roli 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from robench.contracts.types import USUAL_NORM
from robench.present.figures.canvas import headline, line_look, sheet
from robench.records.limits import radius
from robench.records.record import AttackScore, AttackSpec, RunResult, Score
from robench.statistics.intervals import Rate, wilson


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Accuracies under attacks that differ in one parameter, sorted by it.

    Attributes:
        name: The name of the attacks.
        norm: Their constraint, such as a norm.
        unit: What epsilon counts there: ``x 255`` for the usual norm, where it is shown in levels.
        points: The value of the parameter (epsilon as recorded) and the accuracy.
    """

    name: str
    norm: str
    unit: str
    points: tuple[tuple[float, Rate], ...]

    @property
    def scale(self) -> int:
        """What epsilon is multiplied with to be shown."""
        return 255 if self.norm == USUAL_NORM else 1


def epsilon_curves(result: RunResult) -> list[Curve]:
    """Return accuracy against epsilon, for attacks made at several radii; the clean accuracy is the point at 0."""
    return _curves(result, "eps", lambda score: float(radius(score.eps)), from_clean=True)


def step_curves(result: RunResult) -> list[Curve]:
    """Return accuracy against the number of steps, for attacks made with several numbers."""
    specs = {spec.label: spec for spec in result.spec.attacks}
    return _curves(result, "steps", lambda score: float(specs[score.label].params["steps"]), from_clean=False)


def security(result: RunResult) -> Figure:
    """Draw the security curves of a run with their 95 % intervals."""
    panels = [
        (curves, name) for curves, name in ((epsilon_curves(result), "eps"), (step_curves(result), "steps")) if curves
    ]
    figure, axes = sheet(5.6 * len(panels), 4.2, 1, len(panels))
    against = " and ".join({"eps": "epsilon", "steps": "gradient steps"}[name] for _, name in panels)
    headline(figure, result, f"Accuracy against {against}, with 95 % intervals")
    for cell, (curves, parameter) in zip(axes.flat, panels, strict=True):
        for number, curve in enumerate(curves):
            scale = curve.scale if parameter == "eps" else 1
            values = [scale * value for value, _ in curve.points]
            rates = [rate for _, rate in curve.points]
            spread = [[r.percent - r.low for r in rates], [r.high - r.percent for r in rates]]
            n = min(rate.n for rate in rates)
            percents, name = [rate.percent for rate in rates], f"{curve.name} (n={n})"
            cell.errorbar(values, percents, yerr=spread, capsize=3, label=name, **line_look(number))
        norms, units = (sorted({getattr(curve, name) for curve in curves}) for name in ("norm", "unit"))
        cell.set_xlabel(f"epsilon, {'/'.join(norms)} ({'; '.join(units)})" if parameter == "eps" else "gradient steps")
        cell.set_ylabel("accuracy, %")
        cell.set_ylim(-2, 102)
        cell.grid(color="0.9")
        cell.legend(fontsize=8)
    return figure


def _curves(
    result: RunResult, parameter: str, value: Callable[[AttackScore], float], *, from_clean: bool
) -> list[Curve]:
    groups: dict[tuple[Any, ...], list[AttackScore]] = {}
    # An interrupted run has the scores of its first attacks only.
    for spec, score in zip(result.spec.attacks, result.attacks, strict=False):
        if parameter in spec.params and (parameter == "eps" or type(spec.params[parameter]) in (int, float)):
            groups.setdefault(_shared(spec, score, parameter), []).append(score)
    found = []
    for members in groups.values():
        if len({value(score) for score in members}) < 2:
            continue
        points = [(value(score), wilson(score)) for score in sorted(members, key=value)]
        if from_clean:
            assert result.clean is not None
            first = result.clean.mask()[: min(score.n for score in members)]
            points.insert(0, (0.0, wilson(Score.of(first))))
        name, _, _ = members[0].label.partition(":")
        found.append(Curve(name=name, norm=members[0].norm, unit=_unit(members[0]), points=tuple(points)))
    return found


def _unit(score: AttackScore) -> str:
    """Return what the radius of an attack counts, as an axis says it."""
    return "x 255" if score.norm == USUAL_NORM else score.eps.partition(" ")[2] or "pixel units"


def _shared(spec: AttackSpec, score: AttackScore, parameter: str) -> tuple[Any, ...]:
    """Return what the attacks of one curve share; the step size may change with epsilon."""
    varying = {"eps": ("eps", "alpha"), "steps": ("steps", "alpha")}[parameter]
    rest = str(sorted((key, text) for key, text in spec.params.items() if key not in varying))
    return spec.name, rest, spec.surrogate.label if spec.surrogate else "", score.norm, score.n
