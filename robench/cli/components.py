"""robench list, describe, check, plugins and plugin: the components there are, and a plugin of your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli import options
from robench.cli.output import columns, echo, warn
from robench.contracts.types import KINDS, Component, Kind
from robench.errors import SpecError, nearest
from robench.registry.registry import Registry, discover

if TYPE_CHECKING:
    from robench.registry.discovery import Plugin
    from robench.scaffold.write import Scaffold

PLURALS: dict[str, Kind] = {
    "datasets": "dataset",
    "models": "model",
    "tuners": "tuner",
    "adaptations": "adaptation",
    "objectives": "objective",
    "defences": "defence",
    "constraints": "constraint",
    "attacks": "attacker",
    "corruptions": "corruption",
    "loggers": "logger",
}

MOST_OF_A_GROUP = 20
"""Components of a group that `robench list` names without --all."""
MOST_NAMED = 5
"""Components of a plugin that `robench plugins` names."""
SCAFFOLDS = (
    *("dataset", "model", "attacker", "tuner", "adaptation", "objective", "defence", "constraint", "corruption"),
    "logger",
)
"""Kinds that `robench plugin new` knows."""


@click.command(name="list")
@click.argument("what", required=False, type=options.Choice(PLURALS))
@click.option("--available", is_flag=True, help="Only those whose files are on this machine; with datasets.")
@click.option("--all", "everything", is_flag=True, help="Every component of large groups, such as torchattacks.")
@options.PLUGIN
@options.JSON
@options.COLOR
@options.DEBUG
def list_components(what: str | None, available: bool, everything: bool, as_json: bool) -> None:
    """List components, all or of one kind.

    `robench describe NAME` shows one of them with its parameters and an example.
    """
    registry = discover()
    if available and what != "datasets":
        raise SpecError("--available is known of data sets alone; expected `robench list datasets --available`")
    groups = {what: PLURALS[what]} if what else PLURALS
    found = {
        plural: [
            {
                "name": registry.displayed_name(plugin, item) + ("-NAME" if item.family else ""),
                "summary": item.summary,
                "plugin": f"{plugin.distribution} {plugin.version}",
                "group": item.group,
            }
            for plugin, item in registry.components(kind)
            if not available or _is_available(registry, item)
        ]
        for plural, kind in groups.items()
    }
    if as_json:
        echo(json.dumps(found, indent=1))
        return
    _print_lists(found, everything)
    if what in (None, "tuners"):
        echo("\nAny ADAPTATION+OBJECTIVE is a tuner too: --tuner lora+trades:rank=4,beta=3")
    echo("\n`robench describe NAME` shows the parameters of one, and an example.")
    for plugin in registry.plugins:
        if plugin.error:
            warn(f"plugin {plugin.name} failed to load; see `robench plugins`")


def _print_lists(found: dict[str, list[dict[str, str]]], everything: bool) -> None:
    """Print components under the headings of their kinds and groups."""
    from robench.registry.paragraphs import hanging

    for plural, rows in found.items():
        click.secho(plural, bold=True)
        groups: dict[str, list[tuple[str, str]]] = {}
        for row in sorted(rows, key=lambda row: row["group"] == ""):
            foreign = "" if row["plugin"].startswith("robench ") else f" [{row['plugin']}]"
            groups.setdefault(row["group"], []).append((row["name"], row["summary"] + foreign))
        shown = []
        for group, members in groups.items():
            if len(members) > MOST_OF_A_GROUP and group and not everything:
                members = [(f"{members[0][0].partition('-')[0]}-*", f"{len(members)} of them; --all lists each")]
            shown += [(f"{group}:", "")] if group else []
            shown += [(f"  {name}" if group else name, summary) for name, summary in members]
        echo("\n".join(hanging(shown, columns())))


def _is_available(registry: Registry, component: Component) -> bool:
    from robench.run.doctor import is_available

    return is_available(registry, component)


@click.command()
@click.argument("name")
@click.option("--model", help="Show the defaults of a tuner for this model.  [default: that of `robench run`]")
@options.PLUGIN
@options.JSON
@options.COLOR
@options.DEBUG
def describe(name: str, model: str | None, as_json: bool) -> None:
    """Show a component's parameters, defaults and source.

    A model may recommend settings of a tuner; those that `robench run` would use are shown.
    """
    from robench.registry.describe import describe as describe_component
    from robench.run.plan import DEFAULT_MODEL

    registry = discover()
    if model is None and registry.knows("model", DEFAULT_MODEL):
        model = DEFAULT_MODEL
    descriptions = [describe_component(registry, kind, name, model) for kind in _kinds_of(registry, name)]
    if as_json:
        echo(json.dumps([description.as_dict() for description in descriptions], indent=1))
        return
    for at, each in enumerate(descriptions):
        # The documentation of a tuner holds that of its halves, one of which may have its name.
        told = any(each.documentation in before.documentation for before in descriptions[:at])
        echo(("\n" if at else "") + (each.line(columns()) if told else each.text(columns())))


def _kinds_of(registry: Registry, name: str) -> list[Kind]:
    """Return the kinds of the component `name`; several components may have one name.

    Raises:
        SpecError: There is no such component.
    """
    kinds = [kind for kind in KINDS if registry.knows(kind, name)]
    if not kinds:
        known = [known for kind in KINDS for known in registry.names(kind)]
        raise SpecError(f"unknown component {name!r}{nearest(name, known)}")
    return kinds


@click.command()
@click.argument("name", metavar="NAME[:KEY=VALUE,...]")
@click.option("--dataset", default="leaf-synth", help="Images to check it on.")
@click.option("--model", help="Network to check attacks and tuners on.  [default: what suits the dataset]")
@options.DEVICE
@options.PLUGIN
@options.COLOR
@click.option("--debug", is_flag=True, hidden=True)
def check(name: str, dataset: str, model: str | None, device: str, debug: bool) -> None:
    """Check that a component keeps the rules of its interface.

    It is tried on a few images: shapes and ranges, the same results with the same seed, weights and modes left
    unchanged, odd batches, gradients, attack budgets, saving and loading. Exits with 1 if a rule is broken. The tests
    of a plugin can do the same with robench.testing.
    """
    from robench.compute.device import resolve_device
    from robench.conformance.examine import examine

    registry, where, all_kept = discover(), resolve_device(device), True
    for kind in _kinds_of(registry, name.partition(":")[0]):
        kept = []
        for each in examine(registry, kind, name, dataset=dataset, model=model, device=where):
            click.secho("pass" if each.kept else "FAIL", fg="green" if each.kept else "red", nl=False)
            echo(f"  {each.rule}: {each.seen}")
            if debug and each.traceback:
                echo(each.traceback.rstrip())
            kept.append(each.kept)
        all_kept = all_kept and all(kept)
        result = f"keeps all {len(kept)} rules" if all(kept) else f"breaks {kept.count(False)} of {len(kept)} rules"
        echo(f"{kind} {name}: {result}")
    if not all_kept:
        raise click.exceptions.Exit(1)


@click.command()
@options.PLUGIN
@options.JSON
@options.DEBUG
def plugins(as_json: bool) -> None:
    """List installed plugins, what each brings, and why any failed to load."""
    registry = discover(broken_files=True)
    if as_json:
        rows = [
            {
                "name": plugin.name,
                "version": plugin.version,
                "components": [f"{item.kind} {item.name}" for item in plugin.components],
                "error": plugin.error,
            }
            for plugin in registry.plugins
        ]
        echo(json.dumps(rows, indent=1))
        return
    for plugin in registry.plugins:
        echo(f"{plugin.name} {plugin.version}: {'FAILED' if plugin.error else _brought(plugin)}")
        if plugin.error:
            echo("  " + plugin.error.rstrip().replace("\n", "\n  "))
    echo("\n`robench list` names the components.")


def _brought(plugin: Plugin) -> str:
    """Return what a plugin brings: its components by name if they are few, else their number by kind."""
    if len(plugin.components) <= MOST_NAMED:
        return ", ".join(f"{item.kind} {item.name}" for item in plugin.components) or "no components"
    counts = ((sum(item.kind == kind for item in plugin.components), plural) for plural, kind in PLURALS.items())
    return ", ".join(f"{count} {plural}" for count, plural in counts if count)


@click.group()
def plugin() -> None:
    """Start a plugin of your own."""


@plugin.command()
@click.argument("name")
@click.option("--kind", required=True, type=options.Choice(SCAFFOLDS), help="Kind of component.")
@click.option("--output", type=options.PATH, metavar="DIR", help="Folder of the package.  [default: NAME]")
@options.DEBUG
def new(name: str, kind: Scaffold, output: Path | None) -> None:
    """Write a package with one component, a test of its rules and a README.

    It installs, runs and passes `robench check` as it is. Then change it.
    """
    from robench.scaffold.write import COMMANDS, KINDS, write_package

    registry = discover()
    for taken in KINDS[kind]:
        if name in registry.names(taken):  # type: ignore[arg-type]
            raise SpecError(f"{taken} {name!r} exists already; see `robench describe {name}`")
    folder = output or Path(name)
    for path in write_package(name, kind, folder):
        echo(str(path))
    echo(f"\nNow:\n  pip install -e {folder}\n  robench check {name}\n  {COMMANDS[kind].format(name=name)}")
