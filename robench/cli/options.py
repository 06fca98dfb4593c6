"""What several commands share: options, completion, consoles and folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from robench.contracts.types import Kind
from robench.registry.registry import FILES, discover
from robench.storage.location import Location, parse_location

if TYPE_CHECKING:
    from rich.console import Console


PIPED_WIDTH = 160


class LocalPath(click.Path):
    """A file or folder of this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if "://" in str(value):
            self.fail(f"{value} is a URL; expected a path: only results and caches can be at a URL", param, ctx)
        return super().convert(value, param, ctx)


class PlaceType(click.Path):
    """A folder of this machine, or a place that several share by its URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the place."""
        return parse_location(value) if isinstance(value, str) else value


PATH = LocalPath(path_type=Path)
RESULTS = click.option(
    "--results",
    type=PlaceType(),
    default=Path("results"),
    show_default=True,
    help="Folder of records, or a URL such as s3://bucket/results.",
)
CACHE = click.option(
    "--cache-dir",
    type=PlaceType(),
    envvar="ROBENCH_CACHE",
    help="Folder of adversarial sets, trained surrogates, indexes, or a URL; may be deleted at any time.  "
    "[env: ROBENCH_CACHE]",
)
CHECKS = click.option(
    "--checks",
    type=click.Choice(["fast", "full", "off"]),
    default="fast",
    show_default=True,
    help="Look for signs that the figures cannot be believed.",
)

COMPILE = click.option(
    "--compile", "compiled", is_flag=True, help="Have torch compile networks for as long as they are attacked."
)


def _remember(context: click.Context, parameter: click.Parameter, files: tuple[str, ...]) -> None:
    """Let this command, and the processes it starts, see the plugins in `files`."""
    before = os.environ.get(FILES)
    if not files or context.resilient_parsing:
        return
    os.environ[FILES] = os.pathsep.join([*([before] if before else []), *files])

    def forget() -> None:
        if before is None:
            os.environ.pop(FILES, None)
        else:
            os.environ[FILES] = before

    context.call_on_close(forget)


PLUGIN = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_remember,
    help="Load a plugin that is a single Python file; repeatable.  [env: ROBENCH_PLUGINS]",
)
LOG = click.option(
    "--log",
    "loggers",
    multiple=True,
    metavar="LOGGER",
    help="Log runs elsewhere too, as tensorboard:dir=runs; see `robench list loggers`; repeatable.",
)
COLOR = click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="Print without colours.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there.")
DEBUG = click.option("--debug", is_flag=True, hidden=True, expose_value=False)


class Size(click.ParamType[object]):
    """A number of images, or ``all``."""

    name = "n|all"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``all``."""
        if value == "all":
            return "all"
        try:
            return int(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number of images; expected one such as 500, or all", param, ctx)


def completer(kind: Kind) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes the names of `kind` in a shell."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        names = discover().names(kind)
        return [CompletionItem(name) for name in names if name.startswith(typed)]

    return complete


def console(no_color: bool, *, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error."""
    from rich.console import Console

    made = Console(no_color=no_color or None, stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH  # no terminal sets a limit, and rich would take 80 columns
    return made


def cache_folder(given: Location | None) -> Location:
    """Return the cache, `given` or the folder of the user."""
    from platformdirs import user_cache_path

    return given if given is not None else user_cache_path("robench")
