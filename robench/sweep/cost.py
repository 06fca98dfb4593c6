"""Which runs of a sweep are missing and what they cost, before anything starts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from robench.errors import DataError
from robench.present.grid import NOTHING, Grid, Heading, headings
from robench.records.record import RunResult, RunSpec
from robench.run.plan import Plan
from robench.sweep.adversarial_sets import sets_of
from robench.sweep.plan import Job, Sweep


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """The cost of one run; nothing, if it is recorded.

    Attributes:
        training_images: Images of an epoch times epochs; training may stop early.
        adversarial_images: Adversarial images to make. A set made on a surrogate is shared by the runs of one seed and
            counts for the first of them. This is an upper bound, as some sets may be in the cache already.
        seconds: The time that similar runs took; None if there were none.
    """

    row: str
    seed: int
    run_id: str
    recorded: bool
    training_images: int
    adversarial_images: int
    seconds: float | None


def sweep_cost(jobs: Iterable[Job], completed: Mapping[str, RunResult]) -> list[RunCost]:
    """Return the cost of each run.

    Args:
        completed: The completed records by the hash of their spec.
    """
    made: set[str] = set()
    costs = []
    for job in jobs:
        spec = job.plan.spec
        recorded = job.run_id in completed
        new = {} if recorded else {key: n for key, n in adversarial_images(job.plan) if key not in made}
        made |= new.keys()
        costs.append(
            RunCost(
                row=job.row,
                seed=job.seed,
                run_id=job.run_id,
                recorded=recorded,
                training_images=0 if recorded else _drawn(job.plan) * _epochs(spec),
                adversarial_images=sum(new.values()),
                seconds=0.0 if recorded else estimate(spec, completed.values()),
            )
        )
    return costs


def adversarial_images(plan: Plan) -> Iterator[tuple[str, int]]:
    """Yield the key of each adversarial set that a run needs, and how many images are made for it.

    What a run trains on or validates with is made anew in every epoch if it is made on the target itself.
    """
    for key, wanted in sets_of(plan).items():
        once = wanted.attack.surrogate or wanted.purpose == "test"
        yield key, wanted.n * (1 if once else _epochs(plan.spec))


def _drawn(plan: Plan) -> int:
    """Return the number of images of an epoch."""
    size, balance = plan.spec.train_size or 0, plan.spec.tuner.params.get("balance", 0)
    try:
        return balance * len(plan.dataset.build().class_names) if balance else size
    except DataError:  # a plan can be shown before the data is there
        return size


def _epochs(spec: RunSpec) -> int:
    return int(spec.tuner.params.get("epochs", 1))


def estimate(spec: RunSpec, records: Iterable[RunResult]) -> float | None:
    """Return the median time, in seconds, of similar completed records; None if there are none.

    Similar records have the same model, dataset, sizes and tuner; if there are none, the same model.
    """
    same_model = [record for record in records if _model(record.spec) == _model(spec) and record.status == "completed"]
    similar = [record for record in same_model if _kind(record.spec) == _kind(spec)]
    times = [record.seconds["total"] for record in similar or same_model]
    return median(times) if times else None


def _model(spec: RunSpec) -> tuple[object, ...]:
    return spec.model.name, spec.model.params


def _kind(spec: RunSpec) -> tuple[object, ...]:
    return spec.dataset.name, spec.train_size, spec.test_size, spec.tuner.name


def cost_grid(sweep: Sweep, costs: Sequence[RunCost]) -> Grid:
    """Return the cost of each row, and the sum in the last line, as a table."""
    missing = [cost for cost in costs if not cost.recorded]
    rows = []
    for row in sweep.rows:
        own = [cost for cost in costs if cost.row == row.name]
        states = [_state([cost for cost in own if cost.seed == seed]) for seed in sweep.seeds]
        rows.append((row.name, *states, *_figures(own)))
    counts = [str(sum(cost.seed == seed for cost in missing)) for seed in sweep.seeds]
    return Grid(
        title=f"{sweep.title}: {len(missing)} of {len(costs)} runs to do",
        notes=(sweep.note,) if sweep.note else (),
        headings=(
            *headings("row", *(f"seed {seed}" for seed in sweep.seeds)),
            Heading(label="training", details=("images", "x epochs")),
            Heading(label="attacks", details=("images", "to make")),
            Heading(label="time", details=("h:mm:ss",)),
        ),
        rows=(*rows, ("to do", *counts, *_figures(costs))),
    )


def _state(runs: Sequence[RunCost]) -> str:
    """Return what has become of the runs of a row with one seed, several on a suite."""
    if not runs:
        return NOTHING
    missing = sum(not run.recorded for run in runs)
    if not 0 < missing < len(runs):
        return "missing" if missing else "recorded"
    return f"{missing} of {len(runs)} missing"


def _figures(costs: Sequence[RunCost]) -> tuple[str, str, str]:
    """Return training images, adversarial images and time of all runs together."""
    if all(cost.recorded for cost in costs):
        return NOTHING, NOTHING, NOTHING
    training = sum(cost.training_images for cost in costs)
    adversarial = sum(cost.adversarial_images for cost in costs)
    known = [cost.seconds for cost in costs if cost.seconds is not None and not cost.recorded]
    unknown = sum(cost.seconds is None for cost in costs)
    more = f" + {unknown} unknown" if known and unknown else ""
    return f"{training:,}", f"{adversarial:,}", duration(sum(known) if known else None) + more


def duration(seconds: float | None) -> str:
    """Return `seconds` as ``h:mm:ss``."""
    return "unknown" if seconds is None else str(timedelta(seconds=round(seconds)))


def cost_json(sweep: Sweep, costs: Sequence[RunCost]) -> str:
    """Return the cost of every run as JSON."""
    runs = [dataclasses.asdict(cost) for cost in costs]
    return json.dumps({"title": sweep.title, "note": sweep.note, "runs": runs}, indent=1)
