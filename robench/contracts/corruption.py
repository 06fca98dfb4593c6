"""The interface of corruptions: changes of images that no adversary makes, such as noise, fog and compression."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from robench.contracts import returned
from robench.contracts.configured import Configured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.contracts.context import RunContext
    from robench.images.image_set import ImageSet


class Corruption(Configured, ABC):
    """Corrupted versions of a run's images: one or several corruptions, each at several severities.

    They are made from the images, or read from files. robench scores the tuned network on them, without any attack, and
    keeps the scores apart from those of attacks.
    """

    @abstractmethod
    @returned.returns(returned.texts)
    def names(self) -> tuple[str, ...]:
        """Return the corruptions, such as ``("fog", "snow")``, in the order of tables."""

    @abstractmethod
    @returned.returns(returned.severities)
    def severities(self) -> tuple[int, ...]:
        """Return the severities of every corruption, the mildest first, such as ``(1, 2, 3, 4, 5)``."""

    @abstractmethod
    @returned.returns(returned.corrupted)
    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        """Return a corrupted version of each image, ``uint8 (N, 3, H, W)``, of the size of `images`.

        The same image at the same position gets the same version in every run: the seed of a run must not matter, so
        that methods are compared on the same images. It is called by several threads.

        Args:
            name: One of :meth:`names`.
            severity: One of :meth:`severities`.
            images: Some clean images, with labels and perhaps names. They must not be changed.
            positions: The position of each of them among the scored images, ``int64 (N,)``.
            context: The run, with its dataset.

        Raises:
            DataError: A file is missing, or does not belong to these images.
        """
