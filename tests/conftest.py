"""A stranger's plugin for the core's tests: small, fast, and through the same door as any other."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from robench.discovery import load_plugin, plugin_manager
from robench.registry import Registry

from tests import toy


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


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests away from the user's cache and from any network."""
    monkeypatch.setenv("ROBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent
