"""robench suite: a protocol of the field, for the models and tuners asked for, as its table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.comparison import Comparison, Engine, carry_out, engine_options
from robench.cli.output import echo, print_grid, warn
from robench.errors import DataError, SpecError
from robench.registry.registry import Registry, discover
from robench.storage.location import Location

if TYPE_CHECKING:
    from robench.checks.certificate import Level
    from robench.suite.places import Places
    from robench.suite.scores import Method, Standing
    from robench.suite.shelf import Shelved
    from robench.sweep.plan import Sweep


@click.command()
@click.argument("name", metavar="[NAME@VERSION|FILE]", required=False, shell_complete=options.complete_suite)
@options.component_option(
    "model", *("--model", "models"), multiple=True, help="Network to measure; repeatable.  [default: the suite's own]"
)
@options.component_option(
    "tuner",
    *("--tuner", "tuners"),
    multiple=True,
    help="How to tune it; repeatable: each model is measured with each tuner.  [default: none, if --model is given]",
)
@click.option("--seeds", default="0", metavar="N,N,...", help="Seeds of each row, with commas between them.")
@options.DATA
@click.option("--n", type=click.IntRange(min=1), help="Images of each data set, for a first look; the table says so.")
@click.option(
    "--only", multiple=True, metavar="SET", help="Only this data set; repeatable. The table says so.  [default: all]"
)
@click.option("--published", is_flag=True, help="Also show what papers report.")
@engine_options
@options.format_option("table", "markdown", "latex", "csv", "json", help="How to print the table.")
@options.PLUGIN
@options.LOG
@options.CHECKS
@options.DEVICE
@options.COMPILE
@options.RESULTS
@options.CACHE
@click.option("--quiet", is_flag=True, help="Print no progress.")
@options.COLOR
@options.DEBUG
def suite(
    name: str | None,
    models: tuple[str, ...],
    tuners: tuple[str, ...],
    seeds: str,
    data: tuple[str, ...],
    n: int | None,
    only: tuple[str, ...],
    published: bool,
    jobs: int,
    engine: str,
    cpus: float | None,
    gpus: float | None,
    dry_run: bool,
    style: str,
    loggers: tuple[str, ...],
    checks: Level,
    device: str,
    compiled: bool,
    results: Location,
    cache_dir: Location | None,
    quiet: bool,
) -> None:
    """Measure methods by a protocol of the field, and show its table.

    Without a name it lists the suites. With --model or --tuner it runs what is missing, as sweep does. Without either
    it shows what the records have, and with --dry-run what the suite says. Exits with 1 if a run failed.
    """
    from robench.suite.parts import missing_sets
    from robench.suite.places import read_places
    from robench.suite.scores import method_of
    from robench.suite.shelf import find_suite
    from robench.sweep.local import Bench
    from robench.sweep.plan import plan_sweep

    registry = discover()
    if name is None:
        _list(registry, style)
        return
    shelved = find_suite(registry, name)
    if n is not None or only:
        shelved = replace(shelved, suite=shelved.suite.reduced(n, only))
    places = read_places(data)
    missing = missing_sets(registry, shelved.suite, places)
    if not (models or tuners):
        if dry_run:
            _describe(shelved, missing)
        else:
            _show(shelved, _rows(registry, shelved, results, places, None), missing, published, style)
        return
    asked = _as_sweep(shelved, models or ("",), tuners or ("none",), _seeds(seeds), places, missing)
    planned = plan_sweep(registry, asked)
    where = Engine(name=engine, jobs=jobs, cpus=cpus, gpus=gpus)
    where.check(cache_dir)
    bench = Bench(
        results=results,
        cache_dir=options.cache_folder(cache_dir),
        device=device,
        checks=checks,
        loggers=loggers,
        compiled=compiled,
    )
    repeated = {"--model": models, "--tuner": tuners, "--data": data, "--only": only}
    words = [word for option, values in repeated.items() for value in values for word in (option, value)]
    words += ["--seeds", seeds] + ([] if n is None else ["--n", str(n)])
    comparison = Comparison(definition=asked, planned=planned, words=("robench", "suite", name, *words))
    done = carry_out(registry, comparison, bench, where, style, dry_run=dry_run, quiet=quiet)
    if done is None:
        return
    methods = list(dict.fromkeys(method_of(shelved.suite, job.plan.spec) for job in planned))
    _show(shelved, _rows(registry, shelved, results, places, methods), missing, published, style)
    done.end()


def _seeds(text: str) -> tuple[int, ...]:
    items = [item.strip() for item in text.split(",")]
    for item in items:
        if not (item.isascii() and item.isdigit()):
            raise SpecError(f"--seeds {text}: {item!r} is not a seed; expected numbers such as 0,1,2")
        if items.count(item) > 1:
            raise SpecError(f"--seeds {text}: seed {item} is given twice; leave one out")
    return tuple(map(int, items))


def _as_sweep(
    shelved: Shelved,
    models: tuple[str, ...],
    tuners: tuple[str, ...],
    seeds: tuple[int, ...],
    places: Places,
    missing: Mapping[str, str],
) -> Sweep:
    """Return each model with each tuner as the rows of a sweep."""
    from robench.suite.table import about
    from robench.sweep.plan import Published, Row, Sweep

    suite = shelved.suite
    rows = []
    for model in models:
        for tuner in tuners:
            given = {"model": model} if model else {}
            name = ", ".join(word for word in (model, tuner) if word)
            settings = {"suite": suite.full_name, "tuner": tuner, **given}
            rows.append(Row(name=name, settings=settings, published=Published()))
    return Sweep(
        path=Path(suite.full_name),
        title=suite.full_name,
        note="\n".join(about(suite, missing)),
        seeds=seeds,
        rows=tuple(rows),
        suites={suite.full_name: suite},
        places=places,
    )


def _list(registry: Registry, style: str) -> None:
    from robench.suite.shelf import shelf

    found = [each.suite for each in shelf(registry, warn)]
    if style == "json":
        rows = [{"name": each.full_name, "title": each.title, "hash": each.content_hash} for each in found]
        echo(json.dumps(rows, indent=1))
        return
    width = max((len(each.full_name) for each in found), default=0)
    for each in found:
        echo(f"{each.full_name:{width}}  {each.title}; {len(each.datasets)} data sets, {len(each.attacks)} attacks")


def _describe(shelved: Shelved, missing: Mapping[str, str]) -> None:
    """Print what a suite says, and which of its data sets are here."""
    from robench.suite.table import about

    suite = shelved.suite
    trains = "on each data set itself" if suite.train == "each" else f"on {suite.train}"
    size = f"{suite.shots} images a class" if suite.train_size is None else f"{suite.train_size} images"
    rows = [("suite", suite.full_name), ("title", suite.title), ("hash", suite.content_hash), ("source", suite.source)]
    rows += [("note", suite.note)] if suite.note else []
    rows += [("model", f"{key}={value}") for key, value in suite.model.items()]
    rows += [("training", f"{trains}, {size}")]
    corrupted = {each.name for each in suite.corruptions}
    rows += [
        ("corrupted" if name in corrupted else "attack", f"{name}: {typed}") for name, typed in suite.measures.items()
    ]
    for each in suite.datasets:
        own = suite.trained_on(each)
        trained = f", trained on {own}" if suite.train == "each" and own != each.dataset else ""
        counts = "" if each.average else ", not averaged"
        rows.append(
            ("data set", f"{each.name}: {each.dataset}, {suite.scored(each)} {suite.split} images{trained}{counts}")
        )
    for name, value in [*rows, *(("", line) for line in about(suite, missing))]:
        echo(f"{name:9} {' '.join(value.split())}")


def _rows(
    registry: Registry, shelved: Shelved, results: Location, places: Places, methods: Sequence[Method] | None
) -> list[Standing]:
    """Return what the records have of the suite: of `methods` in that order, or of all."""
    from robench.records.shared_store import store_at
    from robench.suite.scores import standing, standings

    records = store_at(results).read(warn) if methods is None or results.is_dir() else []
    found = standings(registry, shelved.suite, records, places)
    if methods is None:
        if not found:
            raise DataError(
                f"no record in {results} has figures of {shelved.suite.full_name}; pass --tuner NAME to measure one"
            )
        return found
    there = {each.method: each for each in found}
    return [there.get(method) or standing(shelved.suite, method, {}, ()) for method in methods]


def _called(rows: Sequence[Standing]) -> list[str]:
    """Return what methods are called in words, as the leaderboard does; one that has no record, as it was typed."""
    from robench.leaderboard.flatten import asked_of
    from robench.leaderboard.naming import method_names
    from robench.records.measurement import measurements

    asked = {row.method: asked_of(next(iter(measurements(row.records[0])))) for row in rows if row.records}
    names = dict(zip(asked, method_names(list(asked.values())), strict=True))
    return [names.get(row.method, row.method.tuner) for row in rows]


def _show(shelved: Shelved, rows: Sequence[Standing], missing: Mapping[str, str], published: bool, style: str) -> None:
    from robench.suite.published import published_grid, published_values, read_published
    from robench.suite.table import averages_grid, best_first, joined, measures, suite_grids, suite_json

    suite = shelved.suite
    reported = read_published(suite, shelved.path) if published else ()
    if published and not reported:
        warn(f"{suite.full_name} names no published figures")
    if style == "json":
        echo(suite_json(suite, rows, missing, published_values(reported)))
        return
    rows = best_first(suite, rows)
    if style == "csv":
        grids = [joined(suite_grids(suite, rows), measures(suite))]
    else:
        names = _called(rows)
        grids = [averages_grid(suite, rows, missing, names), *suite_grids(suite, rows, names)]
    grids += [published_grid(suite, reported, rows)] if reported else []
    for number, grid in enumerate(grids):
        if number:
            echo()
        print_grid(grid, "", style)
