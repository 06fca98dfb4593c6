"""robench plugin: begin one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robench.cli.options import DEBUG, PATH
from robench.errors import SpecError
from robench.registry.registry import discover

if TYPE_CHECKING:
    from robench.scaffold.write import Scaffold


@click.group()
def plugin() -> None:
    """Begin a plugin of your own."""


@plugin.command()
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(["dataset", "model", "attacker", "tuner"]), help="What it is.")
@click.option("--output", type=PATH, metavar="DIR", help="Where; default: a folder of its name.")
@DEBUG
def new(name: str, kind: Scaffold, output: Path | None) -> None:
    """Write a package with one component, its contract's test and a README.

    It installs, lists, runs and passes `robench check` as it is; then it is yours to change.
    """
    from robench.scaffold.write import COMMANDS, KINDS, write_package

    registry = discover()
    for taken in KINDS[kind]:
        if name in registry.names(taken):  # type: ignore[arg-type]
            raise SpecError(f"{taken} {name!r} is there already; see `robench describe {name}`")
    folder = output or Path(name)
    for path in write_package(name, kind, folder):
        click.echo(str(path))
    click.echo(f"\nNow:\n  pip install -e {folder}\n  robench check {name}\n  {COMMANDS[kind].format(name=name)}")
