"""robench run: one run, start to record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robench.cli.options import (
    CACHE,
    CHECKS,
    COLOR,
    COMPILE,
    DEBUG,
    JSON,
    LOG,
    PATH,
    PLUGIN,
    RESULTS,
    Size,
    cache_folder,
    completer,
    console,
)
from robench.errors import SpecError
from robench.registry.registry import Registry, discover
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from rich.console import Console

    from robench.checks.certificate import Level
    from robench.compute.world import World
    from robench.records.record import RunResult
    from robench.records.store import Store
    from robench.run.plan import Plan


@click.command()
@click.option("--dataset", default="leaf-synth", show_default=True, shell_complete=completer("dataset"), help="Data.")
@click.option("--model", shell_complete=completer("model"), help="Model; default: what suits the dataset.")
@click.option("--tuner", default="none", show_default=True, shell_complete=completer("tuner"), help="Adaptation.")
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    shell_complete=completer("attacker"),
    help="Attack, repeatable: pgd is white-box, pgd-resnet20 is made on a ResNet-20.  [default: pgd-resnet20, pgd]",
)
@click.option("--protocol", help="Shorthand for the dataset's protocol=, such as study for leaf.")
@click.option("--train-size", type=Size(), default=2000, show_default=True, help="Training images for the tuner.")
@click.option(
    "--test-size",
    type=Size(),
    default=1000,
    show_default=True,
    help="Test images; n=... in an attack limits it.",
)
@click.option(
    "--split", default="test", show_default=True, help="What to score: test, or validation to choose settings by."
)
@click.option("--epochs", type=int, help="Shorthand for the tuner's epochs=.")
@click.option("--lr", type=float, help="Shorthand for the tuner's lr=.")
@click.option("--batch-size", type=int, help="Shorthand for the tuner's batch_size=.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option(
    "--eval-dataset",
    "eval_datasets",
    multiple=True,
    shell_complete=completer("dataset"),
    help="Score the tuned model on this dataset too, with its classes; repeatable.",
)
@click.option("--save-adapter", type=PATH, metavar="FILE", help="Save what was trained.")
@click.option("--adapter", metavar="FILE", help="Load a saved adapter in place of training; it names the tuner.")
@click.option(
    "--precision",
    default="mixed",
    show_default=True,
    help="What networks compute in: mixed, float32, bfloat16 or bfloat16-attacks (docs/gpu.md).",
)
@click.option("--white-box/--no-white-box", default=True, help="Add the white-box twin of a lone transfer attack.")
@PLUGIN
@LOG
@CHECKS
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@COMPILE
@RESULTS
@CACHE
@JSON
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
@click.option("--force", is_flag=True, help="Run again although a record exists; the old one is kept.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@COLOR
@DEBUG
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
    no_color: bool,
    save_adapter: Path | None,
    **request: Any,
) -> None:
    """Tune a model, evaluate it clean and under attack, and save a record.

    Names take parameters: NAME:key=value,... such as tecoa:lr=5e-4 or pgd:eps=2/255,n=500. `robench describe NAME`
    lists them.
    """
    from robench.compute.launch import joined, speaks
    from robench.records.shared_store import store_at
    from robench.run.loggers import listening
    from robench.run.plan import Request, plan

    registry = discover()
    planned = plan(registry, Request(**request))
    if save_adapter is not None and planned.spec.train_size is None:
        raise SpecError(f"--save-adapter {save_adapter}: tuner {planned.spec.tuner.name!r} trains nothing here")
    if save_adapter is not None and not save_adapter.absolute().parent.is_dir():
        raise SpecError(f"--save-adapter {save_adapter}: there is no folder {save_adapter.parent}")
    if save_adapter is not None and save_adapter.exists():
        raise SpecError(f"--save-adapter {save_adapter}: the file exists and is not overwritten")
    store = store_at(results)
    done = store.completed(planned.spec.run_id())
    out, log = console(no_color), console(no_color, stderr=True)
    if dry_run:
        if speaks():
            _show_plan(planned, done, as_json, out)
        return
    with joined(device) as (world, own):
        done = world.from_main(done)
        if done is None or force or save_adapter is not None:
            cache, silent = cache_folder(cache_dir), quiet or as_json or not world.is_main
            with listening(registry, loggers if world.is_main else ()):
                result = _run(
                    registry, planned, results, store, own, compiled, cache, save_adapter, checks, log, silent, world
                )
        else:
            result = done
    if not world.is_main:
        return
    if result is done and not (quiet or as_json):
        made = f"{done.provenance.started[:10]}, robench {done.provenance.versions.get('robench', 'unknown')}"
        log.print(f"already recorded as {done.run_id} ({made}); --force runs it again", highlight=False)
    if as_json:
        click.echo(result.model_dump_json(indent=1))
    elif not quiet:
        _show_result(result, results, out)


def _run(
    registry: Registry,
    planned: Plan,
    results: Location,
    store: Store,
    device: str,
    compiled: bool,
    cache: Location,
    save_adapter: Path | None,
    checks: Level,
    log: Console,
    silent: bool,
    world: World,
) -> RunResult:
    import contextlib

    from robench.compute.device import resolve_device
    from robench.run.runner import run as carry_out
    from robench.run.status import status_kept

    where = resolve_device(device)
    if world.is_main:
        store.prepare()
        if isinstance(cache, SharedFolder):
            cache.prepare()
    bars: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if log.is_terminal and not silent:
        from robench.run.progress import ProgressBars

        bars = ProgressBars(log)
        registry.manager.register(bars)
    with bars, status_kept(registry.manager, results) if world.is_main else contextlib.nullcontext():
        result = carry_out(
            registry,
            planned,
            device=where,
            cache_dir=cache,
            save_adapter=save_adapter,
            checks=checks,
            keep=store.keep,
            save=lambda result: store.write_or_rescue(result, local_folder(cache) / "rescued-results"),
            world=world,
            compiled=compiled,
        )
    if not world.is_main:
        return result
    for note in result.data.notes if result.data else ():
        click.echo(f"robench: {result.spec.dataset.name}: {note}", err=True)
    for check in result.checks:
        if check.verdict in ("warn", "fail"):
            about = f" of {check.attack}" if check.attack else ""
            click.echo(f"robench: check {check.verdict}: {check.name}{about}: {check.reason}", err=True)
    for warning in result.warnings:
        click.echo(f"robench: warning: {warning}", err=True)
    return result


def _show_plan(planned: Plan, done: RunResult | None, as_json: bool, out: Console) -> None:
    spec = planned.spec
    if as_json:
        content = {"run_id": spec.run_id(), "recorded": done is not None, "spec": spec.model_dump(mode="json")}
        click.echo(json.dumps(content, indent=1))
        return
    for name, value in planned.rows():
        out.print(f"{name:9} {value}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"{'run':9} {spec.run_id()}{', already recorded' if done else ''}", highlight=False)


def _show_result(result: RunResult, results: Location, out: Console) -> None:
    from robench.leaderboard.build import leaderboard
    from robench.leaderboard.write import to_rich

    for table in leaderboard([result]):
        out.print(to_rich(table))
    out.print(f"record: {results}/{result.run_id}.json", highlight=False, soft_wrap=True)
