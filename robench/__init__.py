"""robench: how accurate is a fine-tuned vision model, clean and under attack, and can you trust the number?

These are the public names; a plugin needs no others. Each is imported on first use, so ``import robench`` is fast.

The rooms, top to bottom. A room imports only rooms further down, and its ``__init__.py`` lists its files.

- ``cli``: the commands.
- ``exchange``: files of other harnesses, and results of several people. ``testing``: for the tests of plugins.
- ``sweep``: a comparison in a file. ``leaderboard``: records as tables and as a page.
- ``evidence``: look at records again. ``conformance``: does a plugin keep its contract?
- ``run``: one run. ``checks``: its certificate. ``bench``: robench against rivals.
- ``attack``: adversarial images. ``registry``: find components by name.
- ``train``: the training loop. ``present``: one run as text, figures and a report.
- ``networks``: run a network. ``statistics``: intervals, tests and ranks.
- ``contracts``: what a plugin implements.
- ``records``: the record of a run. ``storage``: files that outlive a process.
- ``compute``: device and precision. ``images``: images as arrays. ``scaffold``: start a plugin. ``errors``.

The components themselves, such as PGD, are in plugins/robench_plugins.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from robench.contracts.hookspecs import hookimpl
from robench.contracts.types import Component

if TYPE_CHECKING:
    from pydantic import Field

    from robench.attack.python import attack
    from robench.attack.queries import ask
    from robench.contracts.attacker import Attacker
    from robench.contracts.constraint import Constraint
    from robench.contracts.context import Progress, RunContext
    from robench.contracts.corruption import Corruption
    from robench.contracts.dataset import Dataset
    from robench.contracts.defence import Certified, Defence, Purifier
    from robench.contracts.logger import Logger
    from robench.contracts.model import (
        BiasedNetwork,
        FeatureNetwork,
        ImageTextNetwork,
        Model,
        TextNetwork,
        TokenNetwork,
        Tokens,
    )
    from robench.contracts.params import Amount, AttackParams, Later, NormParams, Params, Pixels, Radius, StepSize
    from robench.contracts.setting import TuningSetting
    from robench.contracts.tuning import Adaptation, Objective, Tuner, TuningTask
    from robench.contracts.types import ThreatModel
    from robench.errors import BudgetError, DataError, PluginError, RobenchError, SpecError
    from robench.images.augmentation import augment
    from robench.images.image_set import ImageSet, to_pixels
    from robench.images.memory_mapped import gather_images
    from robench.leaderboard.frame import leaderboard
    from robench.networks.part import Part
    from robench.records.record import RunResult, RunSpec
    from robench.storage.checkpoint import Checkpoint
    from robench.storage.remembered import remembered
    from robench.suite.python import evaluate, run

_HOMES = {
    "pydantic": ("Field",),
    "robench.attack.queries": ("ask",),
    "robench.contracts.attacker": ("Attacker",),
    "robench.contracts.constraint": ("Constraint",),
    "robench.contracts.context": ("Progress", "RunContext"),
    "robench.contracts.corruption": ("Corruption",),
    "robench.contracts.dataset": ("Dataset",),
    "robench.contracts.defence": ("Certified", "Defence", "Purifier"),
    "robench.contracts.logger": ("Logger",),
    "robench.contracts.model": (
        "BiasedNetwork",
        "FeatureNetwork",
        "ImageTextNetwork",
        "Model",
        "TextNetwork",
        "TokenNetwork",
        "Tokens",
    ),
    "robench.contracts.params": (
        "Amount",
        "AttackParams",
        "Later",
        "NormParams",
        "Params",
        "Pixels",
        "Radius",
        "StepSize",
    ),
    "robench.contracts.setting": ("TuningSetting",),
    "robench.contracts.tuning": ("Adaptation", "Objective", "Tuner", "TuningTask"),
    "robench.contracts.types": ("ThreatModel",),
    "robench.errors": ("BudgetError", "DataError", "PluginError", "RobenchError", "SpecError"),
    "robench.images.augmentation": ("augment",),
    "robench.images.image_set": ("ImageSet", "to_pixels"),
    "robench.images.memory_mapped": ("gather_images",),
    "robench.networks.part": ("Part",),
    "robench.records.record": ("RunResult", "RunSpec"),
    "robench.suite.python": ("evaluate",),
    "robench.storage.checkpoint": ("Checkpoint",),
    "robench.storage.remembered": ("remembered",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = {"attack": "robench.attack.python", "leaderboard": "robench.leaderboard.frame", "run": "robench.suite.python"}
"""Rooms that can also be called, and where the function of that name is."""

__all__ = [
    "Adaptation",
    "Amount",
    "AttackParams",
    "Attacker",
    "BiasedNetwork",
    "BudgetError",
    "Certified",
    "Checkpoint",
    "Component",
    "Constraint",
    "Corruption",
    "DataError",
    "Dataset",
    "Defence",
    "FeatureNetwork",
    "Field",
    "ImageSet",
    "ImageTextNetwork",
    "Later",
    "Logger",
    "Model",
    "NormParams",
    "Objective",
    "Params",
    "Part",
    "Pixels",
    "PluginError",
    "Progress",
    "Purifier",
    "Radius",
    "RobenchError",
    "RunContext",
    "RunResult",
    "RunSpec",
    "SpecError",
    "StepSize",
    "TextNetwork",
    "ThreatModel",
    "TokenNetwork",
    "Tokens",
    "Tuner",
    "TuningSetting",
    "TuningTask",
    "ask",
    "attack",
    "augment",
    "evaluate",
    "gather_images",
    "hookimpl",
    "leaderboard",
    "remembered",
    "run",
    "to_pixels",
]


class _CallableRoom(ModuleType):
    """A room that is also the function of its name: ``robench.run(...)`` beside ``import robench.run.plan``.

    Importing a submodule puts the package in the place of any function of that name in ``robench``, so the package
    itself must be callable. Setting a module's ``__class__`` is what Python's data model documents for that.
    """

    @property
    def __wrapped__(self) -> Any:
        """The function; ``inspect.signature`` and ``help`` follow it."""
        return getattr(import_module(_ROOMS[self._name]), self._name)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """The documentation of the function."""
        doc: str | None = self.__wrapped__.__doc__
        return doc

    @property
    def _name(self) -> str:
        return self.__name__.rpartition(".")[2]

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call the function."""
        return self.__wrapped__(*args, **more)


def _make_callable(room: str) -> None:
    """Let the package `room` be called as the function of its name."""
    sys.modules[room].__class__ = _CallableRoom


# Former public names: what each is called now, and the version that removes it.
_RENAMED: dict[str, tuple[str, str]] = {}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        import warnings

        new, version = _RENAMED[name]
        message = f"robench.{name} is called robench.{new} now; the old name goes with version {version}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return globals().get(new) or __getattr__(new)
    if name in _ROOMS:
        return import_module(f"robench.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'robench' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
