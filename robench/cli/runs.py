"""The recorded runs that a command line names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from robench.cli.output import warn
from robench.errors import DataError, SpecError
from robench.present.show import find
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
    """Return the plan of a recorded run, made from the command in its record.

    Raises:
        SpecError: The command cannot be planned, or means another run here.
    """
    from robench.cli.run import run
    from robench.run.plan import Request, plan

    try:
        _, _, *words = shlex.split(record.provenance.command)
    except ValueError as error:
        raise SpecError(f"the command of run {record.run_id} cannot be read: {error}") from None
    if words[-1:] == ["--plugin"]:
        raise SpecError(f"the command of run {record.run_id} cannot be read: --plugin needs a file")
    files = []
    while "--plugin" in words:  # a record must not choose what code is run: the user names the file again
        where = words.index("--plugin")
        files.append(words[where + 1])
        del words[where : where + 2]
    try:
        given = run.make_context("run", words).params
    except (click.ClickException, click.exceptions.Exit) as error:
        reason = error.format_message() if isinstance(error, click.ClickException) else "it only shows a text"
        raise SpecError(f"the command of run {record.run_id} cannot be read: {reason}") from None
    request = Request(**{key: given[key] for key in given.keys() & Request.__dataclass_fields__.keys()})
    try:
        planned = plan(registry, request)
    except SpecError as error:
        needs = f"; run {record.run_id} was made with --plugin {' --plugin '.join(files)}" if files else ""
        raise SpecError(f"{error}{needs}") from None
    if planned.spec.run_id() != record.spec.run_id():
        raise SpecError(
            f"the command of run {record.run_id} means run {planned.spec.run_id()} here: a component has other "
            "parameters or defaults now, or an adapter file is another"
        )
    return planned
