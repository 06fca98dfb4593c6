"""What every component has: parameters that were validated before it was built."""

from __future__ import annotations

from typing import ClassVar

from robench.contracts import params as parameters


class Configured:
    """Anything built from validated parameters. Subclasses declare them as a nested or named ``Params``."""

    Params: ClassVar[type[parameters.Params]] = parameters.Params
    params: parameters.Params

    def __init__(self, params: parameters.Params | None = None) -> None:
        self.params = params if params is not None else type(self).Params()
