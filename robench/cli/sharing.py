"""robench merge and submit: results of several people."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.output import console, echo, say, warn
from robench.errors import DataError, SpecError
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from rich.console import Console

    from robench.exchange.merge import Outcome
    from robench.exchange.same_run import Rival


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=options.LocationType())
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option(
    "--certificates",
    is_flag=True,
    help="If a record differs only in its checks, add them to the record without; by default, both are kept.",
)
@options.RESULTS
@options.COLOR
@options.DEBUG
def merge(folders: tuple[Location, ...], dry_run: bool, certificates: bool, results: Location) -> None:
    """Take the records of other folders into RESULTS.

    Samples come along. Records that are there already are skipped and never changed. Another record of the same run is
    kept beside the first, and the two are compared. Damaged and forged records are refused. Exits with 1 if a record
    was refused, or disagrees with another record of its run.
    """
    from collections import Counter

    from robench.exchange.merge import Receiver
    from robench.exchange.merge import merge as take_in

    receiver = Receiver(results, dry_run=dry_run, certificates=certificates, warn=say)
    out = console()
    counts: Counter[str] = Counter()
    attention = False
    for path, outcome in take_in(receiver, [_copied(folder) for folder in folders]):
        counts[outcome.what] += 1
        attention |= outcome.needs_attention
        tell(out, path, outcome, local_folder(results))
    names = {"taken": "taken", "certified": "certified", "there": "there already", "refused": "refused"}
    parts = [f"{counts[what]} {name}" for what, name in names.items() if counts[what]]
    echo(f"{counts.total()} records for {results}: {', '.join(parts)}" + (" (dry run)" if dry_run else ""))
    if attention:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--output",
    type=options.PATH,
    metavar="DIR",
    required=True,
    help="Results folder of a checkout, or any other folder.",
)
@click.option("--allow-fail", is_flag=True, help="Also copy runs whose checks say fail.")
@options.RESULTS
@options.COLOR
@options.DEBUG
def submit(run_ids: tuple[str, ...], output: Path, allow_fail: bool, results: Location) -> None:
    """Copy runs to a checkout, for a pull request.

    Each run must be completed, intact and checked. Samples come along. If one run is not fit, none is copied. Nothing
    that is in DIR changes.
    """
    from robench.cli.runs import chosen_runs
    from robench.exchange.contribution import local_paths, unfit
    from robench.exchange.merge import Receiver

    if output.is_dir() and isinstance(results, Path) and results.is_dir() and output.samefile(results):
        raise SpecError(f"--output {output} is where the runs are; name the results folder of a checkout")
    records = [record for record, _ in chosen_runs(results, run_ids)]
    reasons = [(record, reason) for record in records for reason in unfit(record, allow_fail=allow_fail)]
    for record, reason in reasons:
        say(f"{record.run_id}: {reason}")
    if reasons:
        n = len({record.run_id for record, _ in reasons})
        raise DataError(f"nothing was copied: {n} of {len(records)} runs cannot be submitted")
    for record in records:
        for path in local_paths(record):
            warn(f"{record.run_id} names {path}, a path of your machine; others cannot repeat its command")
    receiver, folder, out = Receiver(output, warn=say), local_folder(results), console()
    added = []
    for record in records:
        outcome = receiver.receive(record, folder)
        tell(out, folder / f"{record.run_id}.json", outcome, receiver.store.folder, there=True)
        if outcome.what == "taken":
            added.append(f"{outcome.run_id}.json")
    if added:
        echo(
            f"""
Next, on a branch of the checkout:
  cd {shlex.quote(str(output))}
  git add {shlex.join(added)}
  git commit -m 'Add {len(added)} result{"s" if len(added) > 1 else ""}'
Then open a pull request. It is checked by `robench verify --since`: new records must be intact and checked, and nothing
that was there may change. Each run also needs a row in a definition under benchmarks/."""
        )


def _copied(folder: Location) -> Path:
    """Return `folder`, or for a URL a folder with copies of what is there."""
    from robench.records.shared_store import SharedStore

    if not isinstance(folder, SharedFolder):
        return folder
    store = SharedStore(folder)
    store.fetch()
    store.fetch_samples()
    return store.folder


def tell(out: Console, path: Path, outcome: Outcome, results: Path, *, there: bool = False) -> None:
    """Print what became of a record.

    Args:
        results: The folder that took it in.
        there: Also print records that were there already.
    """
    if outcome.refused:
        say(f"refused: {outcome.refused}")
    if outcome.what == "refused" or (outcome.what == "there" and not there and not outcome.notes):
        return
    what = {"taken": "taken as", "there": "is there already as", "certified": "adds its certificate to"}[outcome.what]
    lines = [f"{path}: {what} {outcome.run_id}", *outcome.notes]
    out.print("; ".join(lines), highlight=False, markup=False, soft_wrap=True)
    for rival in outcome.rivals:
        _tell_rival(out, results / f"{rival.run_id}.json", rival)


def _tell_rival(out: Console, path: Path, rival: Rival) -> None:
    from robench.evidence.compare import settings_grid
    from robench.evidence.reproduce import repeats_grid

    if rival.certificates:
        said = "the same figures; the certificates say {} and {}".format(*rival.certificates)
        said += "; --certificates keeps one record" if "none" in rival.certificates else ""
    elif rival.standing == "other images":
        said = "the same run scored OTHER IMAGES; the accuracies cannot be compared"
    else:
        said = f"the same run measured twice: {rival.standing.replace('disagrees', 'DISAGREES')}"
    out.print(f"  with {path}: {said}", highlight=False, markup=False, soft_wrap=True)
    if rival.found and rival.standing != "bit for bit":
        out.print(repeats_grid(rival.found, "A: in the folder, B: incoming", ("A", "B")).to_rich())
    if rival.differing:
        out.print(settings_grid(rival.differing).to_rich())
