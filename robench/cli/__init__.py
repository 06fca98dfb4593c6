"""The command line: each command parses its options, calls another room, and prints the result.

| file | commands |
|---|---|
| ``run.py`` | ``run`` |
| ``suite.py`` | ``suite`` |
| ``sweep.py`` | ``sweep`` |
| ``transfer.py`` | ``transfer`` |
| ``leaderboard.py`` | ``leaderboard``, ``serve`` |
| ``predict.py`` | ``predict`` |
| ``present.py`` | ``show``, ``report`` |
| ``evidence.py`` | ``compare``, ``verify``, ``reproduce``, ``certify`` |
| ``sharing.py`` | ``merge``, ``submit`` |
| ``exchange.py`` | ``export``, ``import`` |
| ``components.py`` | ``list``, ``describe``, ``check``, ``plugins``, ``plugin`` |
| ``bench.py`` | ``bench`` |
| ``environment.py`` | ``doctor``, ``completion`` |
| ``options.py``, ``output.py``, ``runs.py`` | what commands share: options, printing, recorded runs |

Commands import what they need when they are called, so that ``robench --help`` and ``robench list`` are fast.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import time
from typing import Any, NoReturn

import click

from robench.cli import (
    bench,
    components,
    environment,
    evidence,
    exchange,
    leaderboard,
    predict,
    present,
    run,
    sharing,
    suite,
    sweep,
    transfer,
)
from robench.cli.output import echo, hear_retries_once, say
from robench.compute.launch import launched, speaks
from robench.errors import RobenchError, nearest

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 130, 141
PATIENCE = 10.0
"""Seconds within which the processes of one run fail with the same error."""
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Run": (
        run.run,
        suite.suite,
        sweep.sweep,
        predict.predict,
        evidence.reproduce,
        evidence.certify,
        environment.doctor,
    ),
    "Read": (
        leaderboard.leaderboard,
        leaderboard.serve,
        present.show,
        present.report,
        evidence.compare,
        transfer.transfer,
    ),
    "Share": (evidence.verify, sharing.merge, sharing.submit, exchange.export, exchange.import_),
    "Extend": (
        components.list_components,
        components.describe,
        components.plugins,
        components.plugin,
        components.check,
        bench.bench,
        environment.completion,
    ),
}
"""All commands, in the sections of ``robench --help``."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    0 is done, 1 a bug of ours, 2 bad input or a failed run, 130 interrupted, and 141 that nobody reads any more.
    """
    # Otherwise Python looks for garbage among everything that was imported, which takes a second at the end.
    atexit.register(gc.freeze)
    hear_retries_once()
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name in a script that the terminal cannot print must not end a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            code = cli(arguments, prog_name="robench", standalone_mode=False)
        except SystemExit:
            if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):  # click ends so when the reader has left
                raise BrokenPipeError from None
            raise
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        _leave_closed_pipe()
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        _fail(error.format_message(), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; records and cached sets already saved are intact", EXIT_INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, RobenchError):
            _fail(str(error), EXIT_USAGE)
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", EXIT_USAGE)
        _fail(f"unexpected {type(error).__name__}: {error}; add --debug for the traceback", EXIT_FAILED)


def _leave_closed_pipe() -> NoReturn:
    """Exit as a program that SIGPIPE ends: a reader such as `head` has enough. Python would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(EXIT_PIPE)


def _fail(message: str, code: int) -> NoReturn:
    if speaks():
        say(" ".join(message.split()))
    else:  # a launcher ends all processes as soon as one fails, so the one that prints should fail first
        time.sleep(1.0 if code == EXIT_INTERRUPTED else PATIENCE)
    sys.exit(code)


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


def _refuse_repeats(command: click.Command, words: list[str]) -> None:
    """Refuse an option that is given twice and not repeatable; click alone would let the last one win silently.

    Raises:
        click.UsageError: There is one.
    """
    _, _, given = command.make_parser(click.Context(command)).parse_args(list(words))
    for option in given:
        single = isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
        if single and given.count(option) > 1:
            raise click.UsageError(f"{option.opts[0]} is given twice; give it once")


class Commands(click.Group):
    """All commands, listed by section; an unknown one gets the nearest as a suggestion."""

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        """Find a command by name."""
        if self.get_command(context, arguments[0]) is None:
            raise click.UsageError(f"unknown command {arguments[0]!r}{nearest(arguments[0], self.commands)}")
        name, command, rest = super().resolve_command(context, arguments)
        if command is not None and not context.resilient_parsing:
            _refuse_repeats(command, rest)
        return name, command, rest

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(each.name), each.get_short_help_str(limit=100)) for each in commands])


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(package_name="robench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Benchmark robust fine-tuning of vision models, clean and under attack.

    \b
    robench run --tuner tecoa --attack pgd-resnet20
    robench leaderboard

    `robench COMMAND --help` explains a command.
    """
    name = context.invoked_subcommand
    if launched() > 1 and name != "run":
        cure = "; to carry out several runs at a time it has --jobs and --engine" if name in ("suite", "sweep") else ""
        raise click.UsageError(
            f"{launched()} processes can share `robench run`, not `robench {name}`; start it without a launcher{cure}"
        )


for command in (command for section in SECTIONS.values() for command in section):
    cli.add_command(command)
