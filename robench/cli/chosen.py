"""The runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from robench.errors import DataError
from robench.records import RunResult
from robench.samples import Samples, samples_path
from robench.show import find
from robench.store import Store


def chosen_runs(results: Path, run_ids: Sequence[str]) -> list[tuple[RunResult, Samples | None]]:
    """Return the records that `run_ids`, or beginnings of them, name, each once, with what samples are kept.

    Raises:
        DataError: One names no run, or several.
    """
    records = Store(results).read(_warn)
    found = {record.run_id: record for record in (find(records, run_id) for run_id in run_ids)}
    return [(record, _samples(results, run_id)) for run_id, record in found.items()]


def _samples(results: Path, run_id: str) -> Samples | None:
    path = samples_path(results, run_id)
    if not path.exists():
        return None
    try:
        return Samples.load(path)
    except DataError as error:
        _warn(str(error))
        return None


def _warn(message: str) -> None:
    click.echo(f"robench: warning: {message}", err=True)
