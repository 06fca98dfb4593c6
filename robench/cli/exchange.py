"""robench export and robench import: files of other harnesses."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli.options import COLOR, DEBUG, PATH, RESULTS, LocalPath, console
from robench.errors import DataError, SpecError, nearest
from robench.registry.registry import discover
from robench.storage.location import Location, local_folder


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--format", "style", required=True, help="robustbench or clip-benchmark.")
@click.option("--output", type=PATH, metavar="DIR", required=True, help="Where to write the files.")
@RESULTS
@DEBUG
def export(run_ids: tuple[str, ...], style: str, output: Path, results: Location) -> None:
    """Write runs as files of another harness.

    What maps is filled in; the whole record travels in the key `robench`, from which `robench import` takes it again.
    """
    from robench.cli.run_ids import chosen_runs
    from robench.exchange.formats import EXTENSION, FORMATS
    from robench.exchange.formats import export as files_of
    from robench.exchange.robustbench import KNOWN_DATASETS

    if style not in FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, FORMATS)}")
    registry = discover()
    files = [file for record, _ in chosen_runs(results, run_ids) for file in files_of(record, style, registry)]
    for file in files:
        click.echo(str(file.write(output)))
    if style == "robustbench":
        _say("link, name, authors, venue, additional_data and number_forward_passes are yours to fill in")
        if any(file.content["autoattack_acc"] is None for file in files):
            _say("no autoattack_acc without --attack autoattack, its standard version, on all test images")
        sizes = sorted({file.content[EXTENSION]["clean"]["n"] for file in files})
        _say(f"these are accuracies on {', '.join(f'{n:,}' for n in sizes)} images, RobustBench's on whole test sets")
        if unknown := sorted({file.content["dataset"] for file in files} - set(KNOWN_DATASETS)):
            _say(f"RobustBench lists {', '.join(KNOWN_DATASETS)}; it does not know {', '.join(unknown)}")


@click.command("import")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=LocalPath(path_type=Path, exists=True, dir_okay=False)
)
@RESULTS
@COLOR
@DEBUG
def import_(files: tuple[Path, ...], results: Location, no_color: bool) -> None:
    """Read files of RobustBench and CLIP_benchmark.

    A record that `robench export` put into one is taken into RESULTS, as by `robench merge`. A file without is no
    record: its figures are printed as rows for a sweep's definition, where they stand as published. Exits with 1 if a
    file was refused.
    """
    from robench.cli.sharing import tell
    from robench.exchange.formats import read_foreign
    from robench.exchange.merge import Receiver
    from robench.exchange.published import Reference

    receiver = Receiver(results, warn=_say)
    out = console(no_color, stderr=True)  # standard output is for rows
    attention = False
    for path in files:
        try:
            found = read_foreign(path)
        except DataError as error:
            attention = True
            _say(f"refused: {error}")
            continue
        if isinstance(found, Reference):
            click.echo(found.to_toml() + "\n")
            continue
        outcome = receiver.receive(found, None)
        attention |= outcome.needs_attention
        tell(out, path, outcome, local_folder(results), there=True)
    if attention:
        raise click.exceptions.Exit(1)


def _say(message: str) -> None:
    click.echo(f"robench: {message}", err=True)
