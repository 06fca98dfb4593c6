"""robench export and import: files of other harnesses."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli import options
from robench.cli.output import console, echo, say
from robench.errors import DataError
from robench.registry.registry import discover
from robench.storage.location import Location, local_folder


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@options.format_option("robustbench", "clip-benchmark", default=None, required=True, help="Format of the files.")
@click.option("--output", type=options.PATH, metavar="DIR", required=True, help="Folder to write the files to.")
@options.RESULTS
@options.DEBUG
def export(run_ids: tuple[str, ...], style: str, output: Path, results: Location) -> None:
    """Write runs as files of RobustBench or CLIP_benchmark.

    Each file also carries the whole record, in the key `robench`; `robench import` reads it back.
    """
    from robench.cli.runs import chosen_runs
    from robench.exchange.formats import EXTENSION
    from robench.exchange.formats import export as files_of
    from robench.exchange.robustbench import KNOWN_DATASETS

    registry = discover()
    files = [file for record, _ in chosen_runs(results, run_ids) for file in files_of(record, style, registry)]
    for file in files:
        echo(str(file.write(output)))
    if style == "robustbench":
        say("please fill in link, name, authors, venue, additional_data and number_forward_passes")
        if any(file.content["autoattack_acc"] is None for file in files):
            say("autoattack_acc is empty; it needs --attack autoattack, standard version, on all test images")
        sizes = sorted({file.content[EXTENSION]["clean"]["n"] for file in files})
        say(f"accuracies are on {', '.join(f'{n:,}' for n in sizes)} images; RobustBench uses whole test sets")
        if unknown := sorted({file.content["dataset"] for file in files} - set(KNOWN_DATASETS)):
            say(f"RobustBench lists {', '.join(KNOWN_DATASETS)}, but not {', '.join(unknown)}")


@click.command("import")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=options.LocalPath(path_type=Path, exists=True, dir_okay=False),
)
@options.RESULTS
@options.COLOR
@options.DEBUG
def import_(files: tuple[Path, ...], results: Location) -> None:
    """Read files of RobustBench or CLIP_benchmark.

    A file by `robench export` carries a record, which is taken into RESULTS as by `robench merge`. Any other file has
    only published figures: they are printed as rows for a sweep definition. Exits with 1 if a file was refused.
    """
    from robench.cli.sharing import tell
    from robench.exchange.formats import read_foreign
    from robench.exchange.merge import Receiver
    from robench.exchange.published import Reference

    receiver = Receiver(results, warn=say)
    out = console(stderr=True)  # standard output is for rows
    attention = False
    for path in files:
        try:
            found = read_foreign(path)
        except DataError as error:
            attention = True
            say(f"refused: {error}")
            continue
        if isinstance(found, Reference):
            echo(found.to_toml() + "\n")
            continue
        outcome = receiver.receive(found, None)
        attention |= outcome.needs_attention
        tell(out, path, outcome, local_folder(results), there=True)
    if attention:
        raise click.exceptions.Exit(1)
