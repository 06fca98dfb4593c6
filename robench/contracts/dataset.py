"""The interface of a dataset.

Images cross every interface as ``float32 (N, 3, H, W)`` in ``[0, 1]``, at the native resolution of the dataset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from robench.contracts.configured import Configured
from robench.images.image_set import ImageSet

SplitName = Literal["train", "validation", "test"]


class Dataset(Configured, ABC):
    """Labelled images with three disjoint splits; ``validation`` is carved from the training data and locked."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes; a label is an index into them."""

    @abstractmethod
    def split(self, name: SplitName, limit: int | None = None) -> ImageSet:
        """Load a split, or its first `limit` images, in a fixed order whose prefixes are fair samples.

        Raises:
            DataError: Files are missing or damaged, or the split has fewer than `limit` images.
        """

    def size(self, name: SplitName) -> int:
        """Return how many images a split has; override where that can be told without loading them."""
        return len(self.split(name))

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the files found, such as how many were skipped; kept in the record."""
        return ()

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return for each class the prompts whose mean embedding stands for it in an image-text model."""
        return tuple((f"a photo of a {name.replace('_', ' ')}.",) for name in self.class_names)
