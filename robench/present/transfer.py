"""How often the images made on one network fool another: a tidy table, and a matrix of surrogates and targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from robench.present.grid import NOTHING, Grid, Heading
from robench.records.labels import method_label, short_label
from robench.records.measurement import measurements
from robench.records.record import AttackSpec, RunResult
from robench.statistics.intervals import success

ITSELF = "itself"
"""The surrogate of an attack that was made on the target."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One attack of one run: how many images that the target had right it then had wrong.

    Attributes:
        attack: The attack as typed, without its surrogate.
        surrogate: The network that it was made on, ``itself`` for the target.
        images: Fingerprint of the clean images.
        n: Images attacked; ``right`` of them are right clean, and of these ``fooled`` are wrong under the attack.
        success: The share fooled of those right, in percent, with the ends of its 95 % interval (Wilson).
    """

    attack: str
    surrogate: str
    target: str
    tuner: str
    dataset: str
    images: str
    norm: str
    eps: str
    knowledge: str
    n: int
    right: int
    fooled: int
    success: float
    low: float
    high: float
    seed: int
    run_id: str


def pairs(records: Iterable[RunResult]) -> list[Pair]:
    """Return a row for each attack of each completed run, dataset by dataset; controls and runs without any right
    image are left out, and of repeats of a run all but the latest."""
    latest = {record.spec.run_id(): record for record in sorted(records, key=lambda each: each.provenance.started)}
    found = []
    for record in (record for record in latest.values() if record.status == "completed"):
        for measured in measurements(record):
            for spec, score in zip(record.spec.attacks, measured.attacks, strict=True):
                rate = success(measured.clean, score)
                if score.knowledge == "nothing" or rate is None:
                    continue
                made_on = score.surrogate.name if score.surrogate else ITSELF
                if score.knowledge == "transfer" and score.surrogate is None:
                    made_on = "elsewhere"
                if score.knowledge == "unaware":
                    made_on = "itself, undefended"
                found.append(
                    Pair(
                        attack=_without_surrogate(spec),
                        surrogate=made_on,
                        target=record.spec.model.label,
                        tuner=method_label(record.spec),
                        dataset=measured.dataset.label,
                        images=measured.data.test_fingerprint,
                        norm=score.norm,
                        eps=score.eps,
                        knowledge=score.knowledge,
                        n=score.n,
                        right=rate.n,
                        fooled=round(rate.n * rate.percent / 100),
                        success=round(rate.percent, 2),
                        low=round(rate.low, 2),
                        high=round(rate.high, 2),
                        seed=record.spec.seed,
                        run_id=record.run_id,
                    )
                )
    return found


def _without_surrogate(spec: AttackSpec) -> str:
    params = [item for item in spec.label.partition(":")[2].split(",") if item and not item.startswith("surrogate.")]
    return spec.name + (":" + ",".join(params) if params else "")


def matrices(found: Sequence[Pair]) -> list[Grid]:
    """Return a matrix for each attack on the same images: surrogates are rows, targets columns, success in percent.

    A cell is the mean over the runs that differ only in their seed; a combination without a run is ``-``.
    """
    grids = []
    for key in dict.fromkeys((each.dataset, each.images, each.attack, each.norm, each.eps, each.n) for each in found):
        own = [each for each in found if (each.dataset, each.images, each.attack, each.norm, each.eps, each.n) == key]
        dataset, images, attack, norm, eps, n = key
        targets = list(dict.fromkeys((each.target, each.tuner) for each in own))
        rows = []
        for surrogate in dict.fromkeys(each.surrogate for each in own):
            cells = []
            for target in targets:
                rates = [e.success for e in own if e.surrogate == surrogate and (e.target, e.tuner) == target]
                cells.append(f"{mean(rates):.1f}" if rates else NOTHING)
            rows.append((short_label(surrogate), *cells))
        grids.append(
            Grid(
                title=f"{short_label(attack)} ({norm} {eps}) on {short_label(dataset)}, n={n:,} ({images[:8]})",
                notes=("Success in percent: of the images that the target has right, those that it then has wrong.",),
                headings=(
                    Heading(label="made on"),
                    *(Heading(label=short_label(model), details=(short_label(tuner),)) for model, tuner in targets),
                ),
                rows=tuple(rows),
            )
        )
    return grids
