"""The interface of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from robench.contracts.configured import Configured
from robench.images.image_set import ImageSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

    def labels(self, name: SplitName) -> NDArray[np.int64]:
        """Return all labels of a split, ``int64 (N,)``. Override it if they are known without loading the images."""
        return self.split(name).labels

    def take(self, name: SplitName, positions: NDArray[np.int64]) -> ImageSet:
        """Return the images at `positions` of a split. Override it if they can be loaded without the others."""
        whole = self.split(name)
        return ImageSet(images=whole.images[positions], labels=whole.labels[positions])

    def at_hand(self) -> bool:
        """Return whether classes, prompts, notes and sizes are known at once: nothing is downloaded, no image loaded.

        Then a dry run shows them, and a run that needs more images is refused at its start. By default they are not.
        """
        return False

    def notes(self) -> tuple[str, ...]:
        """Return notes on the files for users and the record, such as how many were skipped."""
        return ()

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class; an image-text model uses the mean of their embeddings."""
        return tuple((f"a photo of a {name.replace('_', ' ')}.",) for name in self.class_names)
