"""robench predict: what the network of a recorded run answers for images without labels."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from robench.cli import options
from robench.cli.output import console, echo, say, warn
from robench.errors import DataError
from robench.registry.registry import discover
from robench.storage.location import Location


@click.command()
@click.argument("run_id", metavar="RUN_ID")
@click.argument("images", metavar="IMAGE|DIR...", nargs=-1, required=True, type=options.PATH)
@click.option("--adapter", type=options.PATH, metavar="FILE", help="The run's file of --save-adapter, if it trained.")
@click.option("--top", type=click.IntRange(min=1), default=1, help="Classes of each image, the most probable first.")
@click.option("--output", type=options.PATH, metavar="FILE", help="Write the CSV to this file instead of printing it.")
@options.DEVICE
@options.PLUGIN
@options.RESULTS
@options.CACHE
@options.COLOR
@options.DEBUG
def predict(
    run_id: str,
    images: tuple[Path, ...],
    adapter: Path | None,
    top: int,
    output: Path | None,
    device: str,
    results: Location,
    cache_dir: Location | None,
) -> None:
    """Let the network of a run classify images without labels.

    \b
    robench predict RUN_ID new/ --output answers.csv
    robench predict RUN_ID leaf.jpg --adapter trained.safetensors --top 3

    Prints a CSV with the file, the class and its probability. The images are read, cropped and resized as the dataset
    of the run does it with its own. Folders are searched. Exits with 1 if a file could not be read; each is named. The
    beginning of a run ID is enough.
    """
    from robench.cli.runs import chosen_runs, plan_again
    from robench.compute.device import resolve_device
    from robench.present.grid import csv_text
    from robench.run.prediction import image_files, predicted
    from robench.run.progress import progress_bars
    from robench.storage.whole_file import write_whole

    ((record, _),) = chosen_runs(results, [run_id])
    files = image_files(images)
    if output is not None and output.is_dir():
        raise DataError(f"--output {output} is a folder; expected the name of a file, such as {output}/answers.csv")
    if output is not None and not output.absolute().parent.is_dir():
        raise DataError(f"--output {output}: there is no folder {output.parent}; make it first")
    registry, log = discover(), console(stderr=True)
    with progress_bars(registry.manager, log) if log.is_terminal else contextlib.nullcontext():
        found, unread = predicted(
            plan_again(registry, record),
            record,
            files,
            device=resolve_device(device),
            cache_dir=options.cache_folder(cache_dir),
            adapter=adapter,
            top=top,
            warn=warn,
            report=lambda progress: registry.manager.hook.robench_run_progress(progress=progress),
        )
    for reason in unread.values():
        say(reason)
    if not found:
        raise DataError(f"none of {len(files)} files could be read as an image")
    rows = [(str(each.file), name, f"{probability:.4f}") for each in found for name, probability in each.classes]
    text = csv_text(("file", "class", "probability"), rows)
    if output is None:
        echo(text, nl=False)
    else:
        write_whole(output, text.encode())
        echo(f"{len(found)} images: {output}")
    if unread:
        say(f"{len(unread)} of {len(files)} files could not be read")
        raise click.exceptions.Exit(1)
