"""A stranger's plugin for the core's tests: small, fast, and through the same door as any other."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from robench import cli
from robench.registry.discovery import load_plugin, plugin_manager
from robench.registry.registry import Registry

from tests import IS_WORKER
from tests.helpers import toy
from tests.helpers.mlflow_rest import stand_in

MOST_WORKERS = 8
"""Test processes at most: each takes up to 2 GB of memory."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spread the whole suite over the processors, file by file. ``-n 0``, or naming a file, keeps it in one process."""
    # A worker goes through this hook too, and must start no workers of its own.
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS and "gpu" not in config.option.markexpr
    if whole and not IS_WORKER and config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None:
        config.option.numprocesses = min(MOST_WORKERS, os.cpu_count() or 1)
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False  # by the number of tests; theirs is in the hook below


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the most slow tests first, so that processors do not end with one of them."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


class Distribution:
    """What an entry point knows of the package it came with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.0"


def entry_point(name: str, module: str, distribution: str) -> Any:
    point = EntryPoint(name=name, value=module, group="robench")
    vars(point)["dist"] = Distribution(distribution)
    return point


def registry_of(*points: Any) -> Registry:
    manager = plugin_manager()
    return Registry([load_plugin(point, manager) for point in points], manager)


@pytest.fixture
def registry() -> Registry:
    """The toy components and nothing else."""
    return registry_of(entry_point("toy", toy.__name__, "toy-dist"))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an importable module from a name and attributes."""

    def make(name: str, **attributes: Any) -> str:
        made = ModuleType(name)
        vars(made).update(attributes)
        monkeypatch.setitem(sys.modules, name, made)
        return name

    return make


def command(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    """Run a command in this process, expect its exit code, and return what it printed and its errors."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    assert (exit_.value.code or 0) == code, captured.err
    return captured.out, captured.err


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests away from the user's cache and from any network."""
    monkeypatch.setenv("ROBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("COLUMNS", raising=False)  # test processes that run side by side have it set


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[str]:
    """The address of a server in this process that takes what MLflow's REST interface documents."""
    with stand_in() as server:
        yield server.address
