"""robench run: plan a run, carry it out, show its result."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robench.cli import options
from robench.cli.output import console, echo, say
from robench.compute.precision import LEVELS
from robench.registry.registry import Registry, discover
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.checks.certificate import Level
    from robench.records.record import RunResult
    from robench.run.identity import Found
    from robench.run.plan import Plan, Request


@click.command()
@options.component_option("dataset", "--dataset", default="leaf-synth", help="Images to train and test on.")
@options.component_option("model", "--model", help="Network to tune and attack.  [default: what suits the dataset]")
@options.component_option(
    "tuner", "--tuner", default="none", help="How to tune the model: a name, or ADAPTATION+OBJECTIVE as in lora+trades."
)
@options.component_option(
    "defence",
    "--defence",
    multiple=True,
    callback=lambda context, parameter, typed: typed or None,
    help="What answers in place of the tuned network, such as jpeg:quality=75; repeatable, and the first meets images "
    "first.  [default: nothing]",
)
@options.component_option(
    "attacker",
    *("--attack", "attacks"),
    multiple=True,
    callback=lambda context, parameter, typed: typed or None,
    help="Attack to test with; repeatable. pgd is white-box; pgd-resnet20 is made on a ResNet-20 and transferred.  "
    "[default: pgd-resnet20, pgd:eps=2/255,n=500, pgd:n=100]",
)
@click.option(
    "--suite",
    metavar="NAME@VERSION",
    shell_complete=options.complete_suite,
    help="Take images, attacks and training from a suite; --dataset names which of its data sets.",
)
@options.DATA
@click.option("--protocol", metavar="NAME", help="Shorthand for the dataset's protocol=, such as study for leaf.")
@click.option(
    "--train-size",
    type=options.Count("images", 500),
    default=2000,
    help="Number of training images, if the tuner trains.",
)
@click.option("--shots", type=int, help="Number of training images of each class, drawn by the seed, such as 16.")
@click.option(
    "--test-size",
    type=options.Count("images", 500),
    default=1000,
    help="Number of test images; n= in an attack takes fewer.",
)
@click.option(
    "--split",
    type=options.Choice(["test", "validation"]),
    default="test",
    help="Images to score: test, or validation while you choose settings.",
)
@click.option("--epochs", type=int, help="Shorthand for the tuner's epochs=.")
@click.option("--lr", type=float, help="Shorthand for the tuner's lr=, the learning rate.")
@click.option("--batch-size", type=int, help="Shorthand for the tuner's batch_size=, in images.")
@click.option("--seed", type=int, default=0, help="Seed of everything random.")
@options.component_option(
    "dataset",
    *("--eval-dataset", "eval_datasets"),
    multiple=True,
    help="Also score the tuned model on this dataset, with its classes; repeatable.",
)
@options.component_option(
    "corruption",
    *("--corruption", "corruptions"),
    multiple=True,
    help="Also score the tuned model on corrupted images, such as common (noise, blur, weather, compression); "
    "repeatable.",
)
@click.option("--save-adapter", type=options.PATH, metavar="FILE", help="Save what was trained to a new file.")
@click.option(
    "--adapter", metavar="FILE", help="Load a file of --save-adapter instead of training; it also sets tuner and model."
)
@click.option(
    "--save-images",
    type=options.PATH,
    metavar="DIR",
    help="Save the scored images, clean and attacked, in a new folder: PNG files with a manifest, and .npz; a recorded "
    "run is measured again for it.",
)
@click.option(
    "--precision",
    type=options.Choice(LEVELS),
    default="mixed",
    help="What networks compute in; mixed tunes in bfloat16 on GPUs that have it, all else is float32.",
)
@click.option(
    "--white-box/--no-white-box",
    default=True,
    help="If all attacks are transfer attacks, also make the first one as a white-box attack.",
)
@options.PLUGIN
@options.LOG
@options.CHECKS
@options.DEVICE
@options.COMPILE
@options.RESULTS
@options.CACHE
@options.JSON
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--force", is_flag=True, help="Run even if a record exists; the old record is kept.")
@click.option("--quiet", is_flag=True, help="Print only warnings and errors.")
@options.COLOR
@options.DEBUG
def run(
    loggers: tuple[str, ...],
    checks: Level,
    device: str,
    compiled: bool,
    results: Location,
    cache_dir: Location | None,
    as_json: bool,
    dry_run: bool,
    force: bool,
    quiet: bool,
    save_adapter: Path | None,
    save_images: Path | None,
    data: tuple[str, ...],
    **request: Any,
) -> None:
    """Tune a model, score it clean and under attack, and record it.

    Names take parameters, as in --tuner tecoa:lr=5e-4 or --attack pgd:eps=2/255,n=500. `robench list` shows all names,
    `robench describe NAME` the parameters of one.
    """
    with _preparing(request, quiet=quiet or as_json or dry_run):
        from robench.compute.device import resolve_device
        from robench.compute.launch import speaks
        from robench.records.shared_store import store_at
        from robench.records.store import UnsavedError
        from robench.run.identity import contents_of, recorded
        from robench.run.plan import Request, check_files, plan
        from robench.run.recorded_run import Setting, recorded_run, refuse_unused, remarks

        registry = discover()
        asked = Request(**request) if request["suite"] is None else _of_suite(registry, data, request)
        planned = plan(registry, asked)
        refuse_unused(asked, planned)
    setting = Setting(
        results=results,
        cache_dir=options.cache_folder(cache_dir),
        device=device,
        checks=checks,
        loggers=loggers,
        compiled=compiled,
        force=force,
        save_adapter=save_adapter,
        save_images=save_images,
    )
    setting.check(planned)
    found = recorded(store_at(results), planned, contents_of(planned, setting.cache_dir))
    done = found.record
    if done is None or dry_run:
        check_files(planned)
    if dry_run:
        resolve_device(device)
        if speaks():
            _show_plan(planned, found, as_json)
        return
    try:
        result, new = recorded_run(registry, planned, found, setting, say=say, bars=_bars(registry, quiet or as_json))
    except UnsavedError as error:  # printed, so that it is not lost
        echo(error.result.model_dump_json(indent=1))
        say(
            f"the record is printed in full on standard output; save it as {error.result.run_id}.json among the records"
        )
        raise
    if result is None:
        return
    for line in remarks(result) if new else found.notes:
        say(line)
    if not new and not (quiet or as_json):
        made = f"{result.provenance.started[:10]}, robench {result.provenance.versions.get('robench', 'unknown')}"
        echo(f"already recorded as {result.run_id} ({made}); --force runs it again", err=True)
    if as_json:
        echo(result.model_dump_json(indent=1))
    elif not quiet:
        _show_result(result, results)


def _of_suite(registry: Registry, data: tuple[str, ...], request: dict[str, Any]) -> Request:
    """Return the run of a suite that `request` means."""
    from robench.run.plan import Request
    from robench.suite.parts import run_of
    from robench.suite.places import read_places
    from robench.suite.shelf import find_suite

    context, typed = click.get_current_context(), click.core.ParameterSource.COMMANDLINE
    given = {name: value for name, value in request.items() if context.get_parameter_source(name) is typed}
    suite, dataset = find_suite(registry, given.pop("suite")).suite, given.pop("dataset", None)
    return Request(**run_of(registry, suite, given, read_places(data), dataset))


def _preparing(request: dict[str, Any], *, quiet: bool) -> contextlib.AbstractContextManager[object]:
    """Show in a terminal what is prepared, as the libraries that components need take seconds to load."""
    log = console(stderr=True)
    if quiet or not log.is_terminal:
        return contextlib.nullcontext()
    return log.status(f"preparing {request['tuner']} on {request['dataset']}: loading libraries")


def _bars(registry: Registry, quiet: bool) -> contextlib.AbstractContextManager[None]:
    """Return what shows the progress of a run: bars in a terminal, and lines elsewhere."""
    from robench.run.progress import progress_bars, progress_lines

    if quiet:
        return contextlib.nullcontext()
    log = console(stderr=True)
    return progress_bars(registry.manager, log) if log.is_terminal else progress_lines(registry.manager, say)


def _show_plan(planned: Plan, found: Found, as_json: bool) -> None:
    from robench.run.data import described

    spec, done = planned.spec, found.record
    if as_json:
        content = {
            "run_id": spec.run_id(),
            "recorded": done is not None,
            "notes": list(found.notes),
            "spec": spec.model_dump(mode="json"),
        }
        echo(json.dumps(content, indent=1))
        return
    run = spec.run_id()
    if done is not None:
        run += ", already recorded" + (f" as {done.run_id}" if done.run_id != run else "")
    about = described(planned.dataset.build(), planned.model.build())
    notes = [*about, *(("note", note if done else f"to be measured again: {note}") for note in found.notes)]
    for name, value in [*planned.rows(), ("run", run), *notes]:
        echo(f"{name:9} {value}")


def _show_result(result: RunResult, results: Location) -> None:
    from robench.leaderboard.detailed import to_detailed
    from robench.leaderboard.tables import leaderboard
    from robench.present.show import beside

    out = console()
    for table in leaderboard([result]):
        out.print(to_detailed(table, out.width))
        out.print()
    for line in beside(result):
        echo(line)
    echo(f"record: {results}/{result.run_id}.json")
