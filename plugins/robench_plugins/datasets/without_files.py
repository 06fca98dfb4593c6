"""What data sets have in common that need no files: they are drawn, or come with a library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from robench import DataError, Dataset, Field, ImageSet, Params


class DrawnParams(Params):
    """How images are drawn."""

    size: int = Field(default=32, ge=16, le=512, description="height and width in pixels")
    data_seed: int = Field(default=0, ge=0, description="another seed draws other images of the same kind")


class WithoutFiles(Dataset):
    """Splits of known sizes whose images are made one by one: implement ``take`` and ``labels``.

    Attributes:
        called: The name of the set.
        sizes: How many images each split has.
    """

    called: ClassVar[str]
    sizes: ClassVar[Mapping[str, int]]

    def size(self, name: str) -> int:
        """Return how many images a split has, making none."""
        return self.sizes[name]

    def at_hand(self) -> bool:
        """Return true: nothing is loaded."""
        return True

    @abstractmethod
    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, ``int64 (N,)``, making no image."""

    @abstractmethod
    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Return the images at `positions` of a split, making no others."""

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Return the first `limit` images of a split.

        Raises:
            DataError: The split has fewer images than asked for.
        """
        n = self.sizes[name] if limit is None else limit
        if n > self.sizes[name]:
            raise DataError(f"{self.called} has {self.sizes[name]:,} {name} images; {n:,} were asked for")
        return self.take(name, np.arange(n))
