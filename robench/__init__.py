"""robench: how accurate is a fine-tuned vision model, clean and under attack, and may you trust the number?

These are the public names; a plugin needs no others. They are imported on first use, so that
``import robench`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robench.hookspecs import hookimpl
from robench.types import Component

if TYPE_CHECKING:
    from pydantic import Field

    from robench.augmentation import augment
    from robench.checkpoint import Checkpoint
    from robench.data import ImageSet, to_pixels
    from robench.errors import BudgetError, DataError, PluginError, RobenchError, SpecError
    from robench.interfaces import (
        Attacker,
        Dataset,
        ImageTextNetwork,
        Model,
        Progress,
        RunContext,
    )
    from robench.large import gather_images
    from robench.logger import Logger
    from robench.params import AttackParams, Later, NormParams, Params, Pixels, Radius
    from robench.records import RunResult, RunSpec
    from robench.tuning import Adaptation, Objective, Tuner, TuningTask
    from robench.types import ThreatModel

_HOMES = {
    "pydantic": ("Field",),
    "robench.augmentation": ("augment",),
    "robench.checkpoint": ("Checkpoint",),
    "robench.data": ("ImageSet", "to_pixels"),
    "robench.errors": ("BudgetError", "DataError", "PluginError", "RobenchError", "SpecError"),
    "robench.interfaces": (
        "Attacker",
        "Dataset",
        "ImageTextNetwork",
        "Model",
        "Progress",
        "RunContext",
    ),
    "robench.large": ("gather_images",),
    "robench.logger": ("Logger",),
    "robench.params": ("AttackParams", "Later", "NormParams", "Params", "Pixels", "Radius"),
    "robench.records": ("RunResult", "RunSpec"),
    "robench.tuning": ("Adaptation", "Objective", "Tuner", "TuningTask"),
    "robench.types": ("ThreatModel",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Adaptation",
    "AttackParams",
    "Attacker",
    "BudgetError",
    "Checkpoint",
    "Component",
    "DataError",
    "Dataset",
    "Field",
    "ImageSet",
    "ImageTextNetwork",
    "Later",
    "Logger",
    "Model",
    "NormParams",
    "Objective",
    "Params",
    "Pixels",
    "PluginError",
    "Progress",
    "Radius",
    "RobenchError",
    "RunContext",
    "RunResult",
    "RunSpec",
    "SpecError",
    "ThreatModel",
    "Tuner",
    "TuningTask",
    "augment",
    "gather_images",
    "hookimpl",
    "to_pixels",
]


# Names that were public: what they are called now, and the version that forgets them.
_RENAMED: dict[str, tuple[str, str]] = {}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        import warnings

        new, version = _RENAMED[name]
        message = f"robench.{name} is called robench.{new} now; the old name goes with version {version}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return globals().get(new) or __getattr__(new)
    if name not in _HOME_OF:
        raise AttributeError(f"module 'robench' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
