"""robench compare, verify, reproduce and certify: look again at what is recorded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.output import console, echo, say
from robench.errors import RobenchError, SpecError
from robench.registry.registry import discover
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from robench.checks.certificate import Level


@click.command()
@click.argument("first", metavar="RUN_ID")
@click.argument("second", metavar="RUN_ID")
@options.RESULTS
@options.JSON
@options.COLOR
@options.DEBUG
def compare(first: str, second: str, results: Location, as_json: bool) -> None:
    """Compare the settings and accuracies of two runs.

    Accuracies are compared image by image with McNemar's test, adjusted for their number (Holm). Each difference has a
    95 % bootstrap interval. The beginning of a run ID is enough.
    """
    from robench.cli.runs import chosen_runs
    from robench.evidence.compare import contests, contests_grid, differences, settings_grid

    runs = [run for run, _ in chosen_runs(results, (first, second))]
    if len(runs) < 2:
        raise SpecError(f"{first!r} and {second!r} are the same run, {runs[0].run_id}; name two runs")
    settings, found = differences(*runs), contests(*runs)
    if as_json:
        content = {"differences": [vars(each) for each in settings], "contests": [dataclasses.asdict(c) for c in found]}
        echo(json.dumps(content, indent=1))
        return
    for name, run in zip("AB", runs, strict=True):
        echo(f"{name} {run.run_id}  {run.provenance.command}")
    for grid in (settings_grid(settings), contests_grid(found)):
        echo()
        console().print(grid.to_rich() if grid.rows else grid.title)


@click.command()
@click.option("--quarantine", "aside", is_flag=True, help="Move damaged files into folders damaged-* beside them.")
@click.option(
    "--since",
    type=options.PATH,
    metavar="DIR",
    help="An earlier copy of RESULTS: since then, only certified records may have been added, and nothing changed.",
)
@options.RESULTS
@options.CACHE
@options.DEBUG
def verify(aside: bool, since: Path | None, results: Location, cache_dir: Location | None) -> None:
    """Check that records and cached adversarial sets are intact.

    Checks schema, run ID, counts, norms and hashes. Exits with 1 if anything is wrong. Without --quarantine nothing is
    changed. A set or record that was moved away is made again when it is next needed. If the cache is at a URL, the
    copies on this machine are checked.
    """
    if aside and since is not None:
        raise SpecError("--quarantine moves files, which --since counts as a fault; give one of the two")
    if aside and isinstance(results, SharedFolder):
        raise SpecError(f"--quarantine moves files of a folder, but {results} is a URL; leave it out")
    from robench.evidence.verify import quarantine, verify_cache, verify_records
    from robench.exchange.contribution import changes, failures
    from robench.records.shared_store import SharedStore, store_at

    for folder in (results, *([since] if since is not None else [])):
        if not folder.is_dir():
            raise SpecError(f"no results at {folder}; pass --{'since' if folder is since else 'results'} DIR")
    cache = local_folder(options.cache_folder(cache_dir))
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
            echo("; ".join([f"added {record.run_id}: checks {record.verdict}", *failures(record)]))
    n_sets, more = verify_cache(cache)
    for fault in (*faults, *more):
        say(f"{fault.path}: {fault.reason}")
    if aside:
        for there in quarantine((*faults, *more)).values():
            say(f"moved to {there}")
    echo(f"{n_records} records in {results}, {len(faults)} faults; {n_sets} sets in {cache}, {len(more)} faults")
    if faults or more:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_id", metavar="RUN_ID")
@options.DEVICE
@options.PLUGIN
@options.RESULTS
@options.COLOR
@options.DEBUG
def reproduce(run_id: str, device: str, results: Location) -> None:
    """Run a record again and say whether it agrees.

    On the same software and device it should agree bit for bit, elsewhere within the 95 % interval. The cache is not
    used, so adversarial images are made again too. The repetition is not recorded. Exits with 1 if it disagrees.
    """
    import tempfile

    from robench.cli.runs import chosen_runs, plan_again
    from robench.compute.device import resolve_device
    from robench.evidence.compare import differences, settings_grid
    from robench.evidence.reproduce import agreement, repeats, repeats_grid
    from robench.run.identity import changes, contents_of
    from robench.run.runner import run as carry_out

    ((record, _),) = chosen_runs(results, [run_id])
    if record.status != "completed":
        raise SpecError(f"run {record.run_id} is {record.status}; only completed runs can be reproduced")
    registry = discover()
    planned = plan_again(registry, record)
    where = resolve_device(device)
    with tempfile.TemporaryDirectory() as folder:
        for change in changes(record, contents_of(planned, Path(folder))):
            say(f"{change} since run {record.run_id}")
        again = carry_out(
            registry,
            planned,
            device=where,
            cache_dir=Path(folder),
            save=lambda result: result,
            compiled=record.provenance.compiled,
        )
    found = repeats(record, again)
    out = console()
    out.print(repeats_grid(found, f"run {record.run_id}: {agreement(found)}").to_rich())
    changed = [each for each in differences(record, again) if each.setting != "source" or (each.first and each.second)]
    if changed:
        out.print(settings_grid(changed).to_rich())
    if agreement(found) == "disagrees":
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Check every completed run that has no checks.")
@click.option("--again", is_flag=True, help="With --all, also those whose certificate lacks a check of this version.")
@click.option(
    "--adapters",
    type=options.LocalPath(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of files by --save-adapters; runs with a file there are not trained again.",
)
@click.option("--checks", type=options.Choice(["fast", "full"]), default="fast", help="How thoroughly to check.")
@options.DEVICE
@options.PLUGIN
@options.RESULTS
@options.CACHE
@options.DEBUG
def certify(
    run_ids: tuple[str, ...],
    everything: bool,
    again: bool,
    adapters: Path | None,
    checks: Level,
    device: str,
    results: Location,
    cache_dir: Location | None,
) -> None:
    """Check runs that were made with --checks off.

    Each network is trained again, or loaded from --adapters. If its weights and clean answers are those of the record,
    the checks are added to the record; nothing else in it changes. Exits with 1 if a run could not be checked.
    """
    from robench.cli.runs import chosen_runs, plan_again
    from robench.compute.device import resolve_device
    from robench.evidence.certify import certified, is_outdated
    from robench.records.shared_store import store_at

    if bool(run_ids) == everything:
        raise SpecError("robench certify takes either names of runs or --all; give one of the two")
    if again and not everything:
        raise SpecError("--again is for --all; a run that is named is checked again anyway")
    store = store_at(results)
    if everything:
        completed = [record for record in store.read(say) if record.status == "completed"]
        records = [record for record in completed if not record.checks or (again and is_outdated(record))]
    else:
        records = [record for record, _ in chosen_runs(results, run_ids)]
    registry, where, cache = discover(), resolve_device(device), options.cache_folder(cache_dir)
    failed = 0
    for number, record in enumerate(records, 1):
        file = None if adapters is None else adapters / f"{record.spec.run_id()}.safetensors"
        try:
            found = certified(
                plan_again(registry, record),
                record,
                device=where,
                cache_dir=cache,
                level=checks,
                trained=file if file is not None and file.is_file() else None,
                warn=say,
            )
            store.add_certificate(found)
            said = f"checks: {found.verdict}"
        except RobenchError as error:
            failed += 1
            said = f"not certified: {error}"
        echo(f"[{number}/{len(records)}] {record.run_id}: {said}")
    if failed:
        raise click.exceptions.Exit(1)
