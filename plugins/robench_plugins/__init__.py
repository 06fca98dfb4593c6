"""The components that come with robench. They are found like those of any other plugin.

Each folder is a kind of component, with one component a file and their declarations in ``components.py``:

- ``attackers/``: PGD is ``attackers/pgd.py``.
- ``corruptions/``: noise, fog and the like, which no adversary makes.
- ``models/``, ``datasets/``, ``loggers/``.
- ``constraints/``: the Linf ball is ``constraints/linf.py``.
- ``defences/``: JPEG is ``defences/jpeg.py``.
- ``tuners/``, made of ``adaptations/`` (what may change) and ``objectives/`` (what is optimised).
- ``suites/``: protocols of the field, and the figures that papers report.
- ``weights/``: the weights that come with robench, and the programs that made them.
"""

from __future__ import annotations

from pathlib import Path

from robench import Component, hookimpl

from robench_plugins.adaptations.components import ADAPTATIONS
from robench_plugins.attackers.components import ATTACKERS
from robench_plugins.constraints.components import CONSTRAINTS
from robench_plugins.corruptions.components import CORRUPTIONS
from robench_plugins.datasets.components import DATASETS
from robench_plugins.defences.components import DEFENCES
from robench_plugins.loggers.components import LOGGERS
from robench_plugins.models.components import MODELS
from robench_plugins.objectives.components import OBJECTIVES
from robench_plugins.tuners.components import TUNERS


@hookimpl
def robench_components() -> list[Component]:
    """Return the components."""
    return [
        *DATASETS,
        *MODELS,
        *TUNERS,
        *ADAPTATIONS,
        *OBJECTIVES,
        *DEFENCES,
        *CONSTRAINTS,
        *ATTACKERS,
        *CORRUPTIONS,
        *LOGGERS,
    ]


@hookimpl
def robench_suites() -> list[Path]:
    """Return the files of the suites."""
    return sorted(Path(__file__).with_name("suites").glob("*@*.toml"))
