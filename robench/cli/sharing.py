"""robench merge and robench submit: results of several people, as plain files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli.options import COLOR, DEBUG, PATH, RESULTS, PlaceType, console
from robench.errors import DataError, SpecError
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from rich.console import Console

    from robench.exchange.merge import Outcome, Receiver
    from robench.exchange.same_run import Rival
    from robench.records.record import RunResult


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=PlaceType())
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@click.option(
    "--certificates", is_flag=True, help="Add certificates to the same records without one, where both would be kept."
)
@RESULTS
@COLOR
@DEBUG
def merge(folders: tuple[Location, ...], dry_run: bool, certificates: bool, results: Location, no_color: bool) -> None:
    """Take the records of other folders, with their samples, into RESULTS.

    What is there already is skipped, and never changed; another record of the same run is kept beside it, and how far
    the two agree is shown. Damaged and forged records are refused. Exits with 1 if one was, or if a run disagrees with
    its repeat.
    """
    from collections import Counter

    from robench.exchange.merge import Receiver
    from robench.exchange.merge import merge as take_in

    receiver = Receiver(results, dry_run=dry_run, certificates=certificates, warn=_say)
    out = console(no_color)
    counts: Counter[str] = Counter()
    attention = False
    for path, outcome in take_in(receiver, [_copied(folder) for folder in folders]):
        counts[outcome.what] += 1
        attention |= outcome.needs_attention
        tell(out, path, outcome, local_folder(results))
    names = {"taken": "taken", "certified": "certified", "there": "there already", "refused": "refused"}
    parts = [f"{counts[what]} {name}" for what, name in names.items() if counts[what]]
    click.echo(f"{counts.total()} records for {results}: {', '.join(parts)}" + (" (dry run)" if dry_run else ""))
    if attention:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--output", type=PATH, metavar="DIR", required=True, help="The results folder of a checkout, or any.")
@click.option("--allow-fail", is_flag=True, help="Also runs whose certificate says fail.")
@RESULTS
@COLOR
@DEBUG
def submit(run_ids: tuple[str, ...], output: Path, allow_fail: bool, results: Location, no_color: bool) -> None:
    """Copy runs, with their samples, to where a pull request is made of them.

    Each must be completed, sound and certified. All are copied or, if one is not fit, none; nothing in DIR changes.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.exchange.contribution import local_paths, unfit
    from robench.exchange.merge import Receiver

    if output.is_dir() and isinstance(results, Path) and results.is_dir() and output.samefile(results):
        raise SpecError(f"--output {output} is where the runs are; name the results folder of a checkout")
    records = [record for record, _ in chosen_runs(results, run_ids)]
    reasons = [(record, reason) for record in records for reason in unfit(record, allow_fail=allow_fail)]
    for record, reason in reasons:
        _say(f"{record.run_id}: {reason}")
    if reasons:
        n = len({record.run_id for record, _ in reasons})
        raise DataError(f"nothing was copied: {n} of {len(records)} runs cannot be submitted")
    for record in records:
        for path in local_paths(record):
            _say(f"warning: {record.run_id} names {path}, a path of your machine; others cannot repeat its command")
    receiver = Receiver(output, warn=_say)
    out = console(no_color)
    added = _copy(out, receiver, records, local_folder(results))
    if added:
        click.echo(_next_steps(output, added))


def _copied(folder: Location) -> Path:
    """Return `folder`, or one with copies of what is at a URL."""
    from robench.records.shared_store import SharedStore

    if not isinstance(folder, SharedFolder):
        return folder
    store = SharedStore(folder)
    store.fetch()
    store.fetch_samples()
    return store.folder


def _copy(out: Console, receiver: Receiver, records: list[RunResult], results: Path) -> list[Path]:
    added = []
    for record in records:
        outcome = receiver.receive(record, results)
        tell(out, results / f"{record.run_id}.json", outcome, receiver.store.folder, there=True)
        if outcome.what == "taken":
            added.append(receiver.store.folder / f"{outcome.run_id}.json")
    return added


def _next_steps(output: Path, added: list[Path]) -> str:
    import shlex

    files = shlex.join(path.name for path in added)
    return "\n".join(
        (
            "",
            "Next, on a branch of the checkout:",
            f"  cd {shlex.quote(str(output))}",
            f"  git add {files}",
            f"  git commit -m 'Add {len(added)} result{'s' if len(added) > 1 else ''}'",
            "and open a pull request. `robench verify --since` is run on it: new records must be sound and certified,",
            "and nothing that was there may be changed. Each run also needs a row in a definition under benchmarks/.",
        )
    )


def tell(out: Console, path: Path, outcome: Outcome, results: Path, *, there: bool = False) -> None:
    """Print what became of a record; of one that was there already only if `there`."""
    if outcome.refused:
        _say(f"refused: {outcome.refused}")
    if outcome.what == "refused" or (outcome.what == "there" and not there and not outcome.notes):
        return
    what = {"taken": "taken as", "there": "is there already as", "certified": "adds its certificate to"}[outcome.what]
    lines = [f"{path}: {what} {outcome.run_id}", *outcome.notes]
    out.print("; ".join(lines), highlight=False, markup=False, soft_wrap=True)
    for rival in outcome.rivals:
        _tell_rival(out, path, rival, results)


def _tell_rival(out: Console, path: Path, rival: Rival, results: Path) -> None:
    from robench.evidence.compare import settings_grid
    from robench.evidence.reproduce import repeats_grid

    known = results / f"{rival.run_id}.json"
    if rival.certificates:
        said = "the same figures; the certificates say {} and {}".format(*rival.certificates)
        said += "; --certificates keeps one record" if "none" in rival.certificates else ""
    elif rival.standing == "other images":
        said = "the same run scored OTHER IMAGES; no accuracy can be compared"
    else:
        said = f"the same run measured twice: {rival.standing.replace('disagrees', 'DISAGREES')}"
    out.print(f"  with {known}: {said}", highlight=False, markup=False, soft_wrap=True)
    if rival.found and rival.standing != "bit for bit":
        out.print(repeats_grid(rival.found, "A: there, B: come in", ("A", "B")).to_rich())
    if rival.differing:
        out.print(settings_grid(rival.differing).to_rich())


def _say(message: str) -> None:
    click.echo(f"robench: {message}", err=True)
