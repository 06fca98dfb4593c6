"""Options and types of arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from robench.contracts.types import Kind
from robench.errors import nearest
from robench.registry.registry import FILES, discover
from robench.storage import location
from robench.storage.location import Location, parse_location
from robench.storage.shared_folder import SharedFolder


class Choice(click.Choice[str]):
    """One of a few words; an unknown word gets the nearest one as a suggestion."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the error message."""
        return f"unknown value {str(value)!r}{nearest(str(value), self.choices)}"


class LocalPath(click.Path):
    """A file or folder of this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if "://" in str(value):
            self.fail(f"{value} is a URL; expected a path: only results and caches can be at a URL", param, ctx)
        return super().convert(value, param, ctx)


class LocationType(click.Path):
    """A folder of this machine, or a place that several machines share by its URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the location."""
        return parse_location(value) if isinstance(value, str) else value


class Count(click.ParamType[object]):
    """A number of something, at least 1, or ``all``."""

    name = "n|all"

    def __init__(self, what: str, example: int) -> None:
        self.what, self.example = what, example

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``all``."""
        text = str(value)
        if text == "all":
            return text
        if not text.isdecimal() or int(text) < 1:
            self.fail(
                f"{text!r} is not a number of {self.what}; expected one such as {self.example}, or all", param, ctx
            )
        return int(text)


PATH = LocalPath(path_type=Path)


def format_option(*choices: str, **more: Any) -> Callable[[Any], Any]:
    """Return the option ``--format``, which a command takes as `style`; the first choice is the default."""
    settings = {"default": choices[0], "help": "How to print the result.", **more}
    return click.option("--format", "style", type=Choice(choices), **settings)


RESULTS = click.option(
    "--results",
    type=LocationType(),
    default=Path("results"),
    metavar="DIR|URL",
    help="Folder of records, or a URL such as s3://bucket/results.",
)


def _use_cache(context: click.Context, parameter: click.Parameter, given: Location | None) -> Location | None:
    """Let the components of this command, and the processes it starts, find the cache."""
    before = os.environ.get(location.CACHE)
    if given is not None and not context.resilient_parsing:
        os.environ[location.CACHE] = given.url if isinstance(given, SharedFolder) else str(given)
        context.call_on_close(lambda: _restore(location.CACHE, before))
    return given


def _restore(variable: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = before


CACHE = click.option(
    "--cache-dir",
    type=LocationType(),
    envvar=location.CACHE,
    callback=_use_cache,
    metavar="DIR|URL",
    help="Folder or URL of adversarial sets, trained surrogates and indexes; may be deleted at any time.  "
    "[env: ROBENCH_CACHE; default: the user's cache folder]",
)
DEVICE = click.option("--device", default="auto", help="Where networks run: auto, cpu, cuda or cuda:N.")
CHECKS = click.option(
    "--checks",
    type=Choice(["fast", "full", "off"]),
    default="fast",
    help="How thoroughly to check whether the accuracies can be trusted.",
)
COMPILE = click.option(
    "--compile", "compiled", is_flag=True, help="Compile networks with torch while they are attacked."
)


def _load_plugins(context: click.Context, parameter: click.Parameter, files: tuple[str, ...]) -> None:
    """Let this command, and the processes it starts, load the plugins in `files`."""
    before = os.environ.get(FILES)
    if not files or context.resilient_parsing:
        return
    os.environ[FILES] = os.pathsep.join([*([before] if before else []), *files])
    context.call_on_close(lambda: _restore(FILES, before))


PLUGIN = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_load_plugins,
    help="Load a plugin from a single Python file; repeatable.  [env: ROBENCH_PLUGINS]",
)
LOG = click.option(
    "--log",
    "loggers",
    multiple=True,
    metavar="LOGGER",
    help="Also log runs to LOGGER, such as tensorboard:dir=runs; repeatable; see `robench list loggers`.",
)


def _print_without_colors(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted or os.environ.get("NO_COLOR"):  # any value but an empty one: https://no-color.org
        context.color = False


DATA = click.option(
    "--data",
    multiple=True,
    metavar="DIR|NAME=DIR",
    help="Where data sets lie: a folder with a folder for each, such as DIR/cifar100, or that of one; repeatable.",
)


COLOR = click.option(
    "--no-color",
    is_flag=True,
    expose_value=False,
    callback=_print_without_colors,
    help="Print without colours.  [env: NO_COLOR]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
DEBUG = click.option("--debug", is_flag=True, hidden=True, expose_value=False)


def component_option(kind: Kind, *names: str, **more: Any) -> Callable[[Any], Any]:
    """Return an option that takes the name of a component of `kind`, with completion in a shell."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in discover().names(kind) if name.startswith(typed)]

    return click.option(*names, metavar="NAME", shell_complete=complete, **more)


def complete_suite(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the suites whose names begin so."""
    from robench.suite.shelf import shelf

    names = [each.suite.full_name for each in shelf(discover())]
    return [CompletionItem(name) for name in names if name.startswith(typed)]


def cache_folder(given: Location | None) -> Location:
    """Return the cache: `given`, or by default the user's cache folder."""
    return given if given is not None else location.cache_location()
