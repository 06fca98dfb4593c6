"""What all components have in common: validated parameters."""

from __future__ import annotations

from typing import ClassVar

from robench.contracts import params as parameters


class Configured:
    """A component with parameters, which subclasses declare as ``Params``. By default each has its default."""

    Params: ClassVar[type[parameters.Params]] = parameters.Params
    params: parameters.Params

    def __init__(self, params: parameters.Params | None = None) -> None:
        self.params = params if params is not None else type(self).Params()
