"""Choose settings of rows on validation images, the same number of candidates for each row, before any test image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from robench.records.record import RunResult
from robench.sweep.plan import Choice, Job, Row, Sweep

FOLDER = "validation"
"""Folder inside the results where the runs of candidates are recorded, apart from those that are shown."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The runs of candidates, and the records there are of them.

    Attributes:
        definition: A sweep with a row for each candidate, scored on validation images.
        planned: Its runs.
        completed: Their completed records by run ID.
    """

    definition: Sweep
    planned: Sequence[Job]
    completed: Mapping[str, RunResult]


def candidates_of(sweep: Sweep) -> Sweep | None:
    """Return a sweep with a row for each candidate, scored on validation images; None if there is nothing to choose.

    A row on a suite is tried on those data sets that the choice names, or on all that are trained on, with the attacks
    of the choice.
    """
    choice = sweep.choice
    if choice is None or not any(row.candidates for row in sweep.rows):
        return None
    over = {
        "split": "validation",
        "attacks": choice.attacks,
        "test_size": choice.test_size,
        "white_box": False,
        "eval_datasets": (),
        "corruptions": (),
        "suite": None,
    }
    rows = [
        dataclasses.replace(
            row,
            name=_name(row, candidate),
            settings={**row.settings, **candidate},
            over=over,
            only=choice.datasets,
            candidates=(),
        )
        for row in sweep.rows
        for candidate in row.candidates
    ]
    return dataclasses.replace(
        sweep, title=f"{sweep.title}: candidates on validation images", seeds=(choice.seed,), rows=tuple(rows)
    )


def settled(sweep: Sweep, trials: Trials, *, first_if_open: bool = False) -> Sweep:
    """Return `sweep` with the best candidate of each row in its settings.

    The score of a candidate is the mean over data sets of clean accuracy, of the mean accuracy under the attacks, or of
    both, as the choice says. Of equals the first is taken.

    Args:
        first_if_open: Keep rows whose candidates are not all recorded, with the first one, as a plan does; else they
            are left out.
    """
    assert sweep.choice is not None
    rows = []
    for row in sweep.rows:
        if not row.candidates:
            rows.append(row)
            continue
        scores = [_score(sweep.choice, trials, _name(row, candidate)) for candidate in row.candidates]
        known = [score for score in scores if score is not None]
        if len(known) == len(scores):
            best = row.candidates[known.index(max(known))]
            tried = ", ".join(f"{score:.1f}" for score in known)
            rows.append(_with(row, best, f"{_words(best)} (of {tried})"))
        elif first_if_open:
            rows.append(_with(row, row.candidates[0], ""))
    return dataclasses.replace(sweep, rows=tuple(rows))


def _score(choice: Choice, trials: Trials, name: str) -> float | None:
    """Return the score of a candidate in percent; None if one of its runs is missing."""
    runs = [trials.completed.get(job.run_id) for job in trials.planned if job.row == name]
    found = [_of_run(choice, record) for record in runs if record is not None]
    return 100 * mean(found) if found and len(found) == len(runs) else None


def _of_run(choice: Choice, record: RunResult) -> float:
    assert record.clean is not None
    clean, attacked = record.clean.accuracy, mean(score.accuracy for score in record.attacks)
    return {"clean": clean, "attacked": attacked, "mean": (clean + attacked) / 2}[choice.by]


def _with(row: Row, candidate: Mapping[str, object], chosen: str) -> Row:
    return dataclasses.replace(row, settings={**row.settings, **candidate}, candidates=(), chosen=chosen)


def _name(row: Row, candidate: Mapping[str, object]) -> str:
    return f"{row.name}: {_words(candidate)}"


def _words(candidate: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in candidate.items())
