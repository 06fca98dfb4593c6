"""The dataset `torchvision`: any image classification of torchvision.datasets, from a folder that it filled."""

from __future__ import annotations

from pathlib import Path

from robench import DataError, Field

from robench_plugins.datasets.published import Published, PublishedParams, Source
from robench_plugins.datasets.readers.torchvision_sets import TorchvisionSource


class TorchvisionParams(PublishedParams):
    """Which class, and where its files are."""

    name: str = Field(description="class of torchvision.datasets, such as Flowers102; torchvision:NAME is short for it")
    path: str = Field(description="the folder that was its root=")


class Torchvision(Published):
    """A set as the class of torchvision.datasets reads it, with ``download=False``."""

    Params = TorchvisionParams
    params: TorchvisionParams

    @property
    def called(self) -> str:
        """What messages call the set."""
        return self.params.name

    def open(self) -> Source:
        """Return the files."""
        root = Path(self.params.path).expanduser()
        if not root.is_dir():
            raise DataError(f"no folder {self.params.path}; pass --dataset torchvision:{self.params.name},path=DIR")
        return TorchvisionSource(self.params.name, root)
