"""robench verify and robench reproduce: look again, or measure again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli.options import CACHE, COLOR, DEBUG, RESULTS, cache_folder, console
from robench.errors import SpecError

if TYPE_CHECKING:
    from robench.records import RunResult
    from robench.registry import Registry
    from robench.spec import Plan


@click.command()
@RESULTS
@CACHE
@DEBUG
def verify(results: Path, cache_dir: Path | None) -> None:
    """Check every record and every cached adversarial set: schema, identity, counts, norms, hashes.

    Exits with 1 if anything is wrong. Nothing is changed; a damaged set is made again when it is needed.
    """
    from robench.verify import verify_cache, verify_records

    if not results.is_dir():
        raise SpecError(f"no results at {results}; pass --results DIR")
    cache = cache_folder(cache_dir)
    n_records, faults = verify_records(results)
    n_sets, more = verify_cache(cache)
    for fault in (*faults, *more):
        click.echo(f"robench: {fault.path}: {fault.reason}", err=True)
    click.echo(f"{n_records} records in {results}, {len(faults)} faults; {n_sets} sets in {cache}, {len(more)} faults")
    if faults or more:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_id", metavar="RUN_ID")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@RESULTS
@COLOR
@DEBUG
def reproduce(run_id: str, device: str, results: Path, no_color: bool) -> None:
    """Run a record again and say whether it agrees.

    Bit for bit on the same software and device, within the 95 % interval elsewhere. The cache is not used, so that
    adversarial images are made again too. The repetition is not recorded. Exits with 1 if it disagrees.
    """
    import tempfile

    from robench.cli.chosen import chosen_runs
    from robench.compare import differences, settings_grid
    from robench.device import resolve_device
    from robench.grid import Grid, Heading
    from robench.registry import discover
    from robench.reproduce import agreement, repeats
    from robench.runner import run as carry_out

    ((record, _),) = chosen_runs(results, [run_id])
    if record.status != "completed":
        raise SpecError(f"run {record.run_id} is {record.status}; only completed runs can be reproduced")
    registry = discover()
    planned = _plan_again(registry, record)
    where = resolve_device(device)
    with tempfile.TemporaryDirectory() as folder:
        again = carry_out(registry, planned, device=where, cache_dir=Path(folder), save=lambda result: result)
    found = repeats(record, again)
    rows = tuple(
        (each.name, f"{each.then:.2f}", f"{each.now:.2f}", f"{each.changed} of {each.n}", each.agreement)
        for each in found
    )
    headings = tuple(Heading(label=name) for name in ("", "then", "now", "images that changed", "agreement"))
    out = console(no_color)
    out.print(Grid(title=f"run {record.run_id}: {agreement(found)}", notes=(), headings=headings, rows=rows).to_rich())
    changed = [each for each in differences(record, again) if each.setting != "source" or (each.first and each.second)]
    if changed:
        out.print(settings_grid(changed).to_rich())
    if agreement(found) == "disagrees":
        raise click.exceptions.Exit(1)


def _plan_again(registry: Registry, record: RunResult) -> Plan:
    """Return the plan of a record, from the command it keeps."""
    import shlex

    from robench.cli.run import run
    from robench.spec import Request, plan

    _, _, *words = shlex.split(record.provenance.command)
    given = run.make_context("run", words).params
    planned = plan(registry, Request(**{key: given[key] for key in given.keys() & Request.__dataclass_fields__.keys()}))
    if planned.spec.run_id() != record.spec.run_id():
        raise SpecError(
            f"the command of run {record.run_id} means run {planned.spec.run_id()} here: a component has other "
            "parameters or defaults now, or an adapter file is another"
        )
    return planned
