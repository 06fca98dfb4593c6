"""The runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence

import click

from robench.errors import DataError
from robench.present.show import find
from robench.records.record import RunResult
from robench.records.samples import Samples
from robench.records.shared_store import store_at
from robench.records.store import Store
from robench.storage.location import Location


def chosen_runs(results: Location, run_ids: Sequence[str]) -> list[tuple[RunResult, Samples | None]]:
    """Return the records that `run_ids`, or beginnings of them, name, each once, with what samples are kept.

    Raises:
        DataError: One names no run, or several.
    """
    store, beginnings = store_at(results), tuple(run_ids)
    records = store.read(_warn, lambda name: name.startswith(beginnings))
    if not all(any(record.run_id.startswith(each) for record in records) for each in beginnings):
        records = store.read(lambda message: None)  # to say which run may have been meant
    found = {record.run_id: record for record in (find(records, run_id) for run_id in run_ids)}
    return [(record, _samples(store, run_id)) for run_id, record in found.items()]


def _samples(store: Store, run_id: str) -> Samples | None:
    path = store.samples(run_id)
    if not path.exists():
        return None
    try:
        return Samples.load(path)
    except DataError as error:
        _warn(str(error))
        return None


def _warn(message: str) -> None:
    click.echo(f"robench: warning: {message}", err=True)
