"""The built-in components, declared as data; they use the same door as anybody's plugin."""

from __future__ import annotations

from robench import Component, hookimpl

from robench_plugins.adaptations.components import ADAPTATIONS
from robench_plugins.attackers.components import ATTACKERS
from robench_plugins.datasets.components import DATASETS
from robench_plugins.loggers.components import LOGGERS
from robench_plugins.models.components import MODELS
from robench_plugins.objectives.components import OBJECTIVES
from robench_plugins.tuners.components import TUNERS


@hookimpl
def robench_components() -> list[Component]:
    """Contribute the built-in components."""
    return [*DATASETS, *MODELS, *TUNERS, *ADAPTATIONS, *OBJECTIVES, *ATTACKERS, *LOGGERS]
