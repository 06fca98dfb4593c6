"""The recorded runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robench.cli.output import warn
from robench.errors import DataError, SpecError
from robench.present.show import find
from robench.records.labels import command_of, repeats_run
from robench.records.record import RunResult
from robench.records.samples import Samples, read_samples
from robench.records.shared_store import store_at
from robench.records.store import Store
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.registry.registry import Registry
    from robench.run.plan import Plan


def chosen_runs(results: Location, run_ids: Sequence[str]) -> list[tuple[RunResult, Samples | None]]:
    """Return the records that `run_ids`, or beginnings of them, name, each once and with its samples.

    Raises:
        DataError: One of them names no run, or several.
    """
    store, beginnings = store_at(results), tuple(run_ids)
    records = store.read(warn, lambda name: name.startswith(beginnings))
    if not all(any(record.run_id.startswith(each) for record in records) for each in beginnings):
        records = store.read(lambda message: None)  # all of them, to suggest the run that was meant
    found = {record.run_id: record for record in (find(records, run_id) for run_id in run_ids)}
    return [(record, _samples(store, record)) for record in found.values()]


def _samples(store: Store, record: RunResult) -> Samples | None:
    path = store.samples(record.run_id)
    if not path.exists():
        return None
    try:
        return read_samples(path, record)
    except DataError as error:
        warn(str(error))
        return None


def plan_again(registry: Registry, record: RunResult) -> Plan:
    """Return the plan of a recorded run, made from its typed spec.

    Raises:
        SpecError: It cannot be planned, means another run here, or is not what the command in the record says.
    """
    from robench.run.replan import replan

    if not repeats_run(record.provenance.command, record.spec):
        raise SpecError(
            f"the command of run {record.run_id} is not that of what was run; expected {command_of(record.spec)!r}"
        )
    try:
        return replan(registry, record.spec)
    except SpecError as error:
        files = sorted({made.partition(" ")[0] for made in record.provenance.plugins.values()})
        files = [file for file in files if file.endswith(".py")]  # the user names them: a record chooses no code
        needs = f"; run {record.run_id} was made with --plugin {' --plugin '.join(files)}" if files else ""
        raise SpecError(f"{error}{needs}") from None
