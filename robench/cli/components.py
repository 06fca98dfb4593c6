"""robench list, describe and plugins: what there is and where it comes from."""

from __future__ import annotations

import json

import click

from robench.cli.options import COLOR, DEBUG, JSON, PLUGIN, console
from robench.contracts.types import KINDS, Kind
from robench.errors import SpecError, nearest
from robench.registry.registry import Registry, discover

PLURALS: dict[str, Kind] = {
    "datasets": "dataset",
    "models": "model",
    "tuners": "tuner",
    "adaptations": "adaptation",
    "objectives": "objective",
    "attacks": "attacker",
    "loggers": "logger",
}


@click.command(name="list")
@click.argument("what", required=False, metavar="[datasets|models|tuners|adaptations|objectives|attacks|loggers]")
@PLUGIN
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
                "name": registry.displayed_name(plugin, item) + ("-NAME" if item.family else ""),
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
    if what in (None, "tuners"):
        click.echo("\nAny ADAPTATION+OBJECTIVE is a tuner too, as in --tuner lora+trades:rank=4,beta=3.")
    for plugin in registry.plugins:
        if plugin.error:
            click.echo(f"robench: warning: plugin {plugin.name} failed to load; see `robench plugins`", err=True)


@click.command()
@click.argument("name")
@PLUGIN
@JSON
@COLOR
@DEBUG
def describe(name: str, as_json: bool, no_color: bool) -> None:
    """Show a component's parameters, defaults and source."""
    from robench.registry.describe import describe as describe_component

    registry = discover()
    descriptions = [describe_component(registry, kind, name) for kind in _kinds_of(registry, name)]
    if as_json:
        click.echo(json.dumps([description.as_dict() for description in descriptions], indent=1))
        return
    text = "\n\n".join(description.text() for description in descriptions)
    console(no_color).print(text, highlight=False, markup=False, soft_wrap=True)


def _kinds_of(registry: Registry, name: str) -> list[Kind]:
    """Return the kinds of which `name` is one; it may be of several.

    Raises:
        SpecError: Of none.
    """
    kinds = [kind for kind in KINDS if registry.knows(kind, name)]
    if not kinds:
        known = [known for kind in KINDS for known in registry.names(kind)]
        raise SpecError(f"unknown component {name!r}{nearest(name, known)}")
    return kinds


@click.command()
@click.argument("name", metavar="NAME[:KEY=VALUE,...]")
@click.option("--dataset", default="leaf-synth", show_default=True, help="Images that it is tried on.")
@click.option("--model", help="Network that attacks and tuners are tried on; default: what suits the dataset.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@PLUGIN
@COLOR
@DEBUG
def check(name: str, dataset: str, model: str | None, device: str, no_color: bool) -> None:
    """Try a component on a few images and say which rules of its interface it keeps.

    Shapes, ranges, determinism under a seed, modes and weights left alone, odd batches, gradients, budgets, saving and
    loading. Exits with 1 if a rule is broken. Plugins' own tests have the same in robench.testing.
    """
    from robench.compute.device import resolve_device
    from robench.conformance.examine import examine

    registry, where = discover(), resolve_device(device)
    color, all_kept = False if no_color else None, True
    for kind in _kinds_of(registry, name.partition(":")[0]):
        found = []
        for each in examine(registry, kind, name, dataset=dataset, model=model, device=where):
            state = click.style("pass", fg="green") if each.kept else click.style("FAIL", fg="red")
            click.echo(f"{state}  {each.rule}: {each.seen}", color=color)
            found.append(each.kept)
        kept = f"keeps all {len(found)} rules" if all(found) else f"breaks {found.count(False)} of {len(found)} rules"
        click.echo(f"{kind} {name}: {kept}")
        all_kept = all_kept and all(found)
    if not all_kept:
        raise click.exceptions.Exit(1)


@click.command()
@PLUGIN
@JSON
@DEBUG
def plugins(as_json: bool) -> None:
    """List plugins, where they come from, and why any failed to load."""
    registry = discover(broken_files=True)
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
            click.echo(f"  {item.kind:10} {item.name}")
