"""robench doctor and completion: this machine and this shell."""

from __future__ import annotations

import json

import click

from robench.cli.options import CACHE, DEBUG, JSON, cache_folder
from robench.registry.registry import discover
from robench.storage.location import Location


@click.command()
@CACHE
@JSON
@DEBUG
def doctor(cache_dir: Location | None, as_json: bool) -> None:
    """Show versions, device, cache, offline state and what would have to be downloaded."""
    from robench.run.doctor import examine

    report = examine(discover(), cache_folder(cache_dir))
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    for section, entries in report.items():
        click.secho(section, bold=True)
        width = max((len(key) for key in entries), default=0)
        for key, value in entries.items():
            click.echo(f"  {key:{width}}  {value}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, as in: eval "$(robench completion bash)"."""
    from click.shell_completion import get_completion_class

    from robench.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "robench", "_ROBENCH_COMPLETE").source())
