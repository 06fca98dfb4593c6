"""The command line: parse, call, print. Whatever it needs beyond names is imported inside the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from robench.errors import RobenchError, SpecError, nearest
from robench.registry import Registry, discover
from robench.types import KINDS, Kind

if TYPE_CHECKING:
    from rich.console import Console

    from robench.records import RunResult
    from robench.spec import Plan

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
PLURALS: dict[str, Kind] = {
    "datasets": "dataset",
    "models": "model",
    "tuners": "tuner",
    "adaptations": "adaptation",
    "objectives": "objective",
    "attacks": "attacker",
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a bug of ours, 2 bad input or a failed run, 130 interrupted."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(cli(arguments, prog_name="robench", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        _fail(error.format_message(), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; records and cached sets already saved are intact", EXIT_INTERRUPTED)
    except RobenchError as error:
        if debug:
            raise
        _fail(str(error), EXIT_USAGE)
    except OSError as error:
        if debug:
            raise
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", EXIT_USAGE)
    except Exception as error:
        if debug:
            raise
        _fail(f"unexpected {type(error).__name__}: {error}; add --debug for the traceback", EXIT_FAILED)


def _fail(message: str, code: int) -> None:
    click.echo(f"robench: {' '.join(message.split())}", err=True)
    sys.exit(code)


class Commands(click.Group):
    """Commands that suggest the nearest name."""

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        """Find a command by name."""
        if self.get_command(context, arguments[0]) is None:
            raise click.UsageError(f"unknown command {arguments[0]!r}{nearest(arguments[0], self.commands)}")
        return super().resolve_command(context, arguments)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="robench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Benchmark robust fine-tuning of vision models, clean and under attack.

    \b
    robench run --tuner tecoa --attack pgd-resnet20
    robench leaderboard
    """


def _completer(kind: Kind) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        names = discover().names(kind)
        return [CompletionItem(name) for name in names if name.startswith(typed)]

    return complete


RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of records.",
)
CACHE = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path),
    envvar="ROBENCH_CACHE",
    help="Folder of adversarial sets and trained surrogates; may be deleted at any time.  [env: ROBENCH_CACHE]",
)
COLOR = click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="Print without colours.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there.")
DEBUG = click.option("--debug", is_flag=True, hidden=True, expose_value=False)


@cli.command()
@click.option("--dataset", default="leaf-synth", show_default=True, shell_complete=_completer("dataset"), help="Data.")
@click.option("--model", shell_complete=_completer("model"), help="Model; default: what suits the dataset.")
@click.option("--tuner", default="none", show_default=True, shell_complete=_completer("tuner"), help="Adaptation.")
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    shell_complete=_completer("attacker"),
    help="Attack, repeatable: pgd is white-box, pgd-resnet20 is made on a ResNet-20.  [default: pgd-resnet20, pgd]",
)
@click.option("--train-size", type=int, default=2000, show_default=True, help="Training images for the tuner.")
@click.option(
    "--test-size",
    type=int,
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
@click.option("--white-box/--no-white-box", default=True, help="Add the white-box twin of a lone transfer attack.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@RESULTS
@CACHE
@JSON
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
@click.option("--force", is_flag=True, help="Run again although a record exists; the old one is kept.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@COLOR
@DEBUG
def run(
    device: str,
    results: Path,
    cache_dir: Path | None,
    as_json: bool,
    dry_run: bool,
    force: bool,
    quiet: bool,
    no_color: bool,
    **request: Any,
) -> None:
    """Tune a model, evaluate it clean and under attack, and save a record.

    Names take parameters: NAME:key=value,... such as tecoa:lr=5e-4 or pgd:eps=2/255,n=500. `robench describe NAME`
    lists them.
    """
    from robench.spec import Request, plan
    from robench.store import Store

    registry = discover()
    planned = plan(registry, Request(**request))
    store = Store(results)
    done = store.completed(planned.spec.run_id())
    out, log = _console(no_color), _console(no_color, stderr=True)
    if dry_run:
        _show_plan(planned, done, as_json, out)
        return
    if done is None or force:
        result = _run(registry, planned, store, device, cache_dir, log, quiet or as_json)
    else:
        result = done
        if not (quiet or as_json):
            made = f"{done.provenance.started[:10]}, robench {done.provenance.versions.get('robench', 'unknown')}"
            log.print(f"already recorded as {done.run_id} ({made}); --force runs it again", highlight=False)
    if as_json:
        click.echo(result.model_dump_json(indent=1))
    elif not quiet:
        _show_result(result, results, out)


def _run(
    registry: Registry,
    planned: Plan,
    store: Any,
    device: str,
    cache_dir: Path | None,
    log: Console,
    silent: bool,
) -> RunResult:
    import contextlib

    from robench.device import resolve_device
    from robench.runner import run as carry_out

    where = resolve_device(device)
    cache = _cache_dir(cache_dir)
    store.prepare()
    bars: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if log.is_terminal and not silent:
        from robench.progress import ProgressBars

        bars = ProgressBars(log)
        registry.manager.register(bars)
    with bars:
        result = carry_out(
            registry,
            planned,
            device=where,
            cache_dir=cache,
            save=lambda result: store.write_or_rescue(result, cache / "rescued-results"),
        )
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


def _show_result(result: RunResult, results: Path, out: Console) -> None:
    from robench.leaderboard import leaderboard
    from robench.tables import to_rich

    for table in leaderboard([result]):
        out.print(to_rich(table))
    out.print(f"record: {results / result.run_id}.json", highlight=False, soft_wrap=True)


@cli.command()
@RESULTS
@click.option("--format", "style", default="table", help="table, markdown, csv or json.  [default: table]")
@click.option(
    "--sort", default="worst", help="worst, clean, adversarial, drop, trainable or seconds.  [default: worst]"
)
@click.option("--filter", "filters", multiple=True, metavar="FIELD=PATTERN", help="Keep matching rows, as tuner=lora*.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@COLOR
@DEBUG
def leaderboard(results: Path, style: str, sort: str, filters: tuple[str, ...], as_json: bool, no_color: bool) -> None:
    """Rank all records, clean and adversarial, comparable rows together."""
    from robench import tables
    from robench.leaderboard import leaderboard as rank
    from robench.store import Store

    style = "json" if as_json else style
    if style not in tables.FORMATS:
        raise SpecError(f"unknown format {style!r}{nearest(style, tables.FORMATS)}")
    records = Store(results).read(lambda message: click.echo(f"robench: warning: {message}", err=True))
    ranked = rank(records, sort=sort, filters=filters)
    if style == "json":
        click.echo(tables.to_json(ranked))
    elif not ranked:
        raise RobenchError(f"no completed run in {results} matches; see `robench run --help`")
    elif style == "markdown":
        click.echo(tables.to_markdown(ranked))
    elif style == "csv":
        click.echo(tables.to_csv(ranked), nl=False)
    else:
        out = _console(no_color)
        for table in ranked:
            out.print(tables.to_rich(table))


@cli.command(name="list")
@click.argument("what", required=False, metavar="[datasets|models|tuners|attacks]")
@JSON
@COLOR
@DEBUG
def list_components(what: str | None, as_json: bool, no_color: bool) -> None:
    """List components and what each is."""
    if what is not None and what not in PLURALS:
        raise SpecError(f"cannot list {what!r}{nearest(what, PLURALS)}")
    registry = discover()
    groups = {what: PLURALS[what]} if what else PLURALS
    found = {
        plural: [
            {
                "name": registry.displayed_name(plugin, item),
                "summary": item.summary,
                "plugin": f"{plugin.distribution} {plugin.version}",
            }
            for plugin, item in registry.components(kind)
        ]
        for plural, kind in groups.items()
    }
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    width = max((len(row["name"]) for rows in found.values() for row in rows), default=0)
    for plural, rows in found.items():
        click.secho(plural, bold=True, color=False if no_color else None)
        for row in rows:
            foreign = "" if row["plugin"].startswith("robench ") else f"  [{row['plugin']}]"
            click.echo(f"  {row['name']:{width}}  {row['summary']}{foreign}")
    for plugin in registry.plugins:
        if plugin.error:
            click.echo(f"robench: warning: plugin {plugin.name} failed to load; see `robench plugins`", err=True)


@cli.command()
@click.argument("name")
@JSON
@COLOR
@DEBUG
def describe(name: str, as_json: bool, no_color: bool) -> None:
    """Show a component's parameters, defaults and source."""
    from robench.describe import describe as describe_component

    registry = discover()
    matches = [kind for kind in KINDS if name in registry.names(kind)]
    if not matches:
        known = [known for kind in KINDS for known in registry.names(kind)]
        raise SpecError(f"unknown component {name!r}{nearest(name, known)}")
    descriptions = [describe_component(registry, kind, name) for kind in matches]
    if as_json:
        click.echo(json.dumps([description.as_dict() for description in descriptions], indent=1))
        return
    for description in descriptions:
        _console(no_color).print(description.text(), highlight=False, markup=False, soft_wrap=True)


@cli.command()
@JSON
@DEBUG
def plugins(as_json: bool) -> None:
    """List plugins, where they come from, and why any failed to load."""
    registry = discover()
    rows = [
        {
            "name": plugin.name,
            "version": plugin.version,
            "components": [f"{item.kind} {item.name}" for item in plugin.components],
            "error": plugin.error,
        }
        for plugin in registry.plugins
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for plugin in registry.plugins:
        state = "FAILED" if plugin.error else f"{len(plugin.components)} components"
        click.echo(f"{plugin.name} {plugin.version}: {state}")
        if plugin.error:
            click.echo("  " + plugin.error.rstrip().replace("\n", "\n  "))
        for item in plugin.components:
            click.echo(f"  {item.kind:9} {item.name}")


@cli.command()
@CACHE
@JSON
@DEBUG
def doctor(cache_dir: Path | None, as_json: bool) -> None:
    """Show versions, device, cache, offline state and what would have to be downloaded."""
    from robench.doctor import examine

    report = examine(discover(), _cache_dir(cache_dir))
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    for section, entries in report.items():
        click.secho(section, bold=True)
        width = max((len(key) for key in entries), default=0)
        for key, value in entries.items():
            click.echo(f"  {key:{width}}  {value}")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, as in: eval "$(robench completion bash)"."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "robench", "_ROBENCH_COMPLETE").source())


def _console(no_color: bool, *, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(no_color=no_color or None, stderr=stderr)


def _cache_dir(given: Path | None) -> Path:
    from platformdirs import user_cache_path

    return given if given is not None else user_cache_path("robench")
