"""Half of the classes of a set: those to tune on, or those that are new then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from robench_plugins.datasets.published import Source

Half = Literal["all", "base", "new"]


def halved(n: int, half: Half) -> slice:
    """Return the classes of a half, of `n` in the order of the labels; the middle one is among the first half.

    Source: the code of Zhou et al., "Conditional prompt learning for vision-language models", CVPR 2022
    (github.com/KaiyangZhou/CoOp, datasets/oxford_pets.py). It halves its own order of the classes, which is that of the
    labels in its split files; where files here have another order, the halves are others.
    """
    middle = -(-n // 2)
    return {"all": slice(0, n), "base": slice(0, middle), "new": slice(middle, n)}[half]


class HalfSource:
    """The files of a set without those of the other half of its classes; labels begin at 0."""

    def __init__(self, whole: Source, classes: slice) -> None:
        self._whole, self._classes = whole, classes
        self.notes, self.parts = whole.notes, whole.parts

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that the files give, or None."""
        names = self._whole.class_names
        return None if names is None else names[self._classes]

    @property
    def templates(self) -> tuple[str, ...]:
        """The prompt templates that the files give."""
        return self._whole.templates

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return the labels of `part`, ``int64 (N,)``."""
        labels = self._whole.labels(part)
        kept: NDArray[np.int64] = labels[self._positions(labels)] - self._classes.start
        return kept

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, bytes | Image.Image]]:
        """Yield the files, or images, for each of `positions`, which ascend."""
        yield from self._whole.images(part, self._positions(self._whole.labels(part))[positions])

    def _positions(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero((labels >= self._classes.start) & (labels < self._classes.stop))
