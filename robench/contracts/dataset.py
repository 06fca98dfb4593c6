"""The interface of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from robench.contracts.configured import Configured
from robench.images.image_set import ImageSet

SplitName = Literal["train", "validation", "test"]


class Dataset(Configured, ABC):
    """Labelled images at their native resolution, in three disjoint splits.

    ``validation`` is taken from the training data; settings are chosen on it, never on ``test``.
    """

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes; a label is an index into them."""

    @abstractmethod
    def split(self, name: SplitName, limit: int | None = None) -> ImageSet:
        """Load a split, or its first `limit` images, in a fixed order. The first n are a fair sample for every n.

        Raises:
            DataError: Files are missing or damaged, or the split has fewer than `limit` images.
        """

    def size(self, name: SplitName) -> int:
        """Return the number of images of a split. Override it if that is known without loading them."""
        return len(self.split(name))

    def notes(self) -> tuple[str, ...]:
        """Return notes on the files for users and the record, such as how many were skipped."""
        return ()

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class; an image-text model uses the mean of their embeddings."""
        return tuple((f"a photo of a {name.replace('_', ' ')}.",) for name in self.class_names)
