"""What all components have in common: validated parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from robench.contracts import params as parameters
from robench.contracts.returned import enforce


class Configured:
    """A component with parameters, which subclasses declare as ``Params``. By default each has its default."""

    Params: ClassVar[type[parameters.Params]] = parameters.Params
    params: parameters.Params

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        enforce(cls)

    def __init__(self, params: parameters.Params | None = None) -> None:
        self.params = params if params is not None else type(self).Params()

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Return the files and folders whose content decides what the component does, each with a name for it.

        A recorded run is measured again when one of them changes. By default they are those that parameters name, each
        under the name of its parameter. Override this for files that no parameter names.

        Args:
            params: Its parameters, of the class ``Params``.
        """
        return parameters.paths_of(params)

    def check_files(self) -> None:
        """Check the files that the parameters name, without loading them; a dry run calls this, too.

        Override it if parameters name files. Nothing may be downloaded.

        Raises:
            DataError: A file is missing, or is not what it should be.
        """
