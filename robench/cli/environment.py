"""robench doctor and completion: this installation and this shell."""

from __future__ import annotations

import json

import click

from robench.cli import options
from robench.cli.output import echo
from robench.registry.registry import discover
from robench.storage.location import Location


@click.command()
@options.CACHE
@options.JSON
@click.option("--sizes", is_flag=True, help="Ask the Hugging Face Hub how large the missing downloads are.")
@options.DEBUG
def doctor(cache_dir: Location | None, as_json: bool, sizes: bool) -> None:
    """Show versions, device, cache and missing downloads.

    Nothing is downloaded.
    """
    from robench.run.doctor import examine

    report = examine(discover(), options.cache_folder(cache_dir), sizes=sizes)
    if as_json:
        echo(json.dumps(report, indent=1))
        return
    for section, entries in report.items():
        click.secho(section, bold=True)
        width = max((len(key) for key in entries), default=0)
        for key, value in entries.items():
            echo(f"  {key:{width}}  {value}")


@click.command()
@click.argument("shell", type=options.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    To use it in bash: eval "$(robench completion bash)"
    """
    from click.shell_completion import get_completion_class

    from robench.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    echo(script(cli, {}, "robench", "_ROBENCH_COMPLETE").source())
