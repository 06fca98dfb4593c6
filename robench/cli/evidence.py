"""robench verify, reproduce and certify: look again, measure again, or check what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli.options import CACHE, COLOR, DEBUG, PATH, PLUGIN, RESULTS, LocalPath, cache_folder, console
from robench.errors import SpecError
from robench.registry.registry import discover
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.checks.certificate import Level
    from robench.records.record import RunResult
    from robench.registry.registry import Registry
    from robench.run.plan import Plan


@click.command()
@click.option("--quarantine", "aside", is_flag=True, help="Move what is faulty into folders damaged-* beside it.")
@click.option(
    "--since",
    type=PATH,
    metavar="DIR",
    help="An earlier copy of RESULTS, to which certified records may have been added and nothing else been done.",
)
@RESULTS
@CACHE
@DEBUG
def verify(aside: bool, since: Path | None, results: Location, cache_dir: Location | None) -> None:
    """Check every record and every cached adversarial set: schema, identity, counts, norms, hashes.

    Exits with 1 if anything is wrong. Nothing is changed without --quarantine; a damaged set is made again when it is
    needed, and a damaged record when its run is asked for. Of a cache at a URL, the copies here are checked; each was
    when it was fetched.
    """
    if aside and since is not None:
        raise SpecError("--quarantine moves files, which --since counts as a fault; give one of the two")
    if aside and isinstance(results, SharedFolder):
        raise SpecError(f"--quarantine moves files of a folder; those at {results} stay where they are")
    from robench.evidence.verify import quarantine, verify_cache, verify_records
    from robench.exchange.contribution import changes, failures
    from robench.records.shared_store import SharedStore, store_at

    for folder in (results, *([since] if since is not None else [])):
        if not folder.is_dir():
            raise SpecError(f"no results at {folder}; pass --{'since' if folder is since else 'results'} DIR")
    cache = local_folder(cache_folder(cache_dir))
    store = store_at(results)
    if isinstance(store, SharedStore):
        store.fetch(anew=True)
        if since is not None:
            store.fetch_samples()
    n_records, faults = verify_records(store.folder)
    if since is not None:
        found = changes(store.folder, since)
        named = {fault.path for fault in found.faults}
        faults = [*found.faults, *(fault for fault in faults if fault.path not in named)]
        for record in found.added:
            click.echo("; ".join([f"added {record.run_id}: checks {record.verdict}", *failures(record)]))
    n_sets, more = verify_cache(cache)
    for fault in (*faults, *more):
        click.echo(f"robench: {fault.path}: {fault.reason}", err=True)
    if aside:
        for there in quarantine((*faults, *more)).values():
            click.echo(f"robench: moved to {there}", err=True)
    click.echo(f"{n_records} records in {results}, {len(faults)} faults; {n_sets} sets in {cache}, {len(more)} faults")
    if faults or more:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_id", metavar="RUN_ID")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@PLUGIN
@RESULTS
@COLOR
@DEBUG
def reproduce(run_id: str, device: str, results: Location, no_color: bool) -> None:
    """Run a record again and say whether it agrees.

    Bit for bit on the same software and device, within the 95 % interval elsewhere. The cache is not used, so that
    adversarial images are made again too. The repetition is not recorded. Exits with 1 if it disagrees.
    """
    import tempfile

    from robench.cli.run_ids import chosen_runs
    from robench.compute.device import resolve_device
    from robench.evidence.compare import differences, settings_grid
    from robench.evidence.reproduce import agreement, repeats, repeats_grid
    from robench.run.runner import run as carry_out

    ((record, _),) = chosen_runs(results, [run_id])
    if record.status != "completed":
        raise SpecError(f"run {record.run_id} is {record.status}; only completed runs can be reproduced")
    registry = discover()
    planned = _plan_again(registry, record)
    where = resolve_device(device)
    with tempfile.TemporaryDirectory() as folder:
        again = carry_out(
            registry,
            planned,
            device=where,
            cache_dir=Path(folder),
            save=lambda result: result,
            compiled=record.provenance.compiled,
        )
    found = repeats(record, again)
    out = console(no_color)
    out.print(repeats_grid(found, f"run {record.run_id}: {agreement(found)}").to_rich())
    changed = [each for each in differences(record, again) if each.setting != "source" or (each.first and each.second)]
    if changed:
        out.print(settings_grid(changed).to_rich())
    if agreement(found) == "disagrees":
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every completed run that was not checked.")
@click.option(
    "--adapters",
    type=LocalPath(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of files by --save-adapters; a run that has one there is not trained again.",
)
@click.option("--checks", type=click.Choice(["fast", "full"]), default="fast", show_default=True, help="How thorough.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@PLUGIN
@RESULTS
@CACHE
@DEBUG
def certify(
    run_ids: tuple[str, ...],
    everything: bool,
    adapters: Path | None,
    checks: Level,
    device: str,
    results: Location,
    cache_dir: Location | None,
) -> None:
    """Check runs that were made with --checks off, and add the certificate to their records.

    Each network is trained again, or loaded from --adapters, and must come out with the weights and the clean answers
    of the record, which otherwise stays as it is. Exits with 1 if a run could not be certified.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.compute.device import resolve_device
    from robench.errors import RobenchError
    from robench.evidence.certify import certified
    from robench.records.shared_store import store_at

    if bool(run_ids) == everything:
        raise SpecError("robench certify takes either names of runs or --all")
    store = store_at(results)
    if everything:
        records = [record for record in store.read(_say) if record.status == "completed" and not record.checks]
    else:
        records = [record for record, _ in chosen_runs(results, run_ids)]
    registry, where, cache = discover(), resolve_device(device), cache_folder(cache_dir)
    failed = 0
    for number, record in enumerate(records, 1):
        trained = None if adapters is None else adapters / f"{record.spec.run_id()}.safetensors"
        try:
            planned = _plan_again(registry, record)
            found = certified(
                planned,
                record,
                device=where,
                cache_dir=cache,
                level=checks,
                trained=trained if trained is not None and trained.is_file() else None,
                warn=_say,
            )
            store.add_certificate(found)
            said = f"checks: {found.verdict}"
        except RobenchError as error:
            failed += 1
            said = f"not certified: {error}"
        click.echo(f"[{number}/{len(records)}] {record.run_id}: {said}")
    if failed:
        raise click.exceptions.Exit(1)


def _say(message: str) -> None:
    click.echo(f"robench: {message}", err=True)


def _plan_again(registry: Registry, record: RunResult) -> Plan:
    """Return the plan of a record, from the command it keeps."""
    import shlex

    from robench.cli.run import run
    from robench.run.plan import Request, plan

    _, _, *words = shlex.split(record.provenance.command)
    files = []
    while "--plugin" in words:  # a record does not choose what code is run: the user names the file again
        where = words.index("--plugin")
        files.append(words[where + 1])
        del words[where : where + 2]
    given = run.make_context("run", words).params
    asked = Request(**{key: given[key] for key in given.keys() & Request.__dataclass_fields__.keys()})
    try:
        planned = plan(registry, asked)
    except SpecError as error:
        needs = f"; run {record.run_id} was made with --plugin {' --plugin '.join(files)}" if files else ""
        raise SpecError(f"{error}{needs}") from None
    if planned.spec.run_id() != record.spec.run_id():
        raise SpecError(
            f"the command of run {record.run_id} means run {planned.spec.run_id()} here: a component has other "
            "parameters or defaults now, or an adapter file is another"
        )
    return planned
