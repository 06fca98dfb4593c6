"""The command line: parse, call, print. Whatever it needs beyond names is imported inside the commands."""

from __future__ import annotations

import atexit
import gc
import sys
import time
from typing import Any

import click

from robench.cli import (
    bench,
    compare,
    components,
    environment,
    evidence,
    leaderboard,
    plugin,
    report,
    run,
    serve,
    sharing,
    show,
    sweep,
)
from robench.cli import exchange as interchange
from robench.compute.launch import launched, speaks
from robench.errors import RobenchError, nearest

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
PATIENCE = 10.0
"""Seconds within which processes of one run fail with the same error."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a bug of ours, 2 bad input or a failed run, 130 interrupted."""
    # Otherwise Python looks for garbage among all that was imported before it ends, for a second.
    atexit.register(gc.freeze)
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
    if speaks():
        click.echo(f"robench: {' '.join(message.split())}", err=True)
    else:  # a launcher ends all as soon as one has failed, and the one that speaks should come first
        time.sleep(1.0 if code == EXIT_INTERRUPTED else PATIENCE)
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
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Benchmark robust fine-tuning of vision models, clean and under attack.

    \b
    robench run --tuner tecoa --attack pgd-resnet20
    robench leaderboard
    """
    name = context.invoked_subcommand
    if launched() > 1 and name != "run":
        cure = "; to carry out several runs at a time it has --jobs and --engine" if name == "sweep" else ""
        raise click.UsageError(
            f"{launched()} processes can share `robench run`, not `robench {name}`; start it without a launcher{cure}"
        )


for command in (
    run.run,
    sweep.sweep,
    leaderboard.leaderboard,
    serve.serve,
    show.show,
    report.report,
    compare.compare,
    evidence.verify,
    evidence.reproduce,
    evidence.certify,
    sharing.merge,
    sharing.submit,
    interchange.export,
    interchange.import_,
    components.list_components,
    components.describe,
    components.check,
    components.plugins,
    plugin.plugin,
    bench.bench,
    environment.doctor,
    environment.completion,
):
    cli.add_command(command)
