"""What the drawn data sets share: random numbers, colours, light and grain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from robench import ImageSet

from robench_plugins.datasets.leaf_synth.random_streams import Floats, Stream
from robench_plugins.datasets.without_files import DrawnParams, WithoutFiles

CHUNK = 256
"""Images drawn at a time."""


class Drawn(WithoutFiles):
    """Images of two colours: a pattern on a background, under uneven light and with grain.

    The name of the set is part of the random streams.

    Attributes:
        both: Whether the pattern is brighter than the ground in half of the images, not darker in all.
        looks: The classes, each with a prompt that describes what is to be seen.
    """

    Params = DrawnParams
    params: DrawnParams
    sizes = {"train": 4_000, "validation": 500, "test": 1_000}
    looks: ClassVar[Mapping[str, str]]
    both: ClassVar[bool] = True

    @abstractmethod
    def cover(self, stream: Stream, label: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
        """Return how much of each pixel the pattern covers, in [0, 1], ``(n, size, size)``.

        Args:
            stream: Random numbers of each image.
            label: The class of each image, ``int64 (n,)``.
            x: Centres of the pixels in [-1, 1], ``(1, 1, size)``; `y` is ``(1, size, 1)``.
        """

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(self.looks)

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return a description for each class.

        Names alone are words that a small text tower has never read and hardly tells apart. The wordings were chosen
        by how far apart the texts lie for ``clip-tiny``, without a look at any image.
        """
        return tuple((look,) for look in self.looks.values())

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, drawing nothing: classes take turns."""
        return np.arange(self.sizes[name], dtype=np.int64) % len(self.looks)

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Draw the images at `positions` of a split."""
        labels = self.labels(name)[positions]
        return ImageSet(images=self.paint(name, positions, labels), labels=labels)

    def paint(self, split: str, positions: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Draw images of the classes `labels`, ``uint8 (n, 3, size, size)``.

        Args:
            split: A split, or any other name, which draws images of its own.
            positions: int64 ``(n,)``; which images of that split.
            labels: int64 ``(n,)``.
        """
        side = self.params.size
        images = np.empty((len(positions), 3, side, side), np.uint8)
        for start in range(0, len(positions), CHUNK):
            part = slice(start, start + CHUNK)
            images[part] = self._chunk(split, positions[part], labels[part])
        return images

    def _chunk(self, split: str, positions: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        stream = Stream(self.params.data_seed, f"{self.called}/{split}", positions)
        side = self.params.size
        grid = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - 1
        x, y = grid[None, None, :], grid[None, :, None]
        cover = self.cover(stream, labels, x, y)[:, None]
        back, front = _colours(stream, self.both)
        images = back[:, :, None, None] + (front - back)[:, :, None, None] * cover
        light = 1 + _each(stream, "light x", -0.2, 0.2) * x + _each(stream, "light y", -0.2, 0.2) * y
        grain = stream.uniforms("grain", 3 * side * side, -0.05, 0.05).reshape(-1, 3, side, side)
        pixels = np.clip((images * light[:, None] + grain) * 255 + np.float32(0.5), 0, 255)
        painted: NDArray[np.uint8] = np.floor(pixels).astype(np.uint8)
        return painted


def _colours(stream: Stream, both: bool) -> tuple[Floats, Floats]:
    """Return the colours of background and pattern, ``(n, 3)``; their brightness differs by 0.2 at least."""
    middle, half = stream.uniform("brightness", 0.35, 0.65), stream.uniform("contrast", 0.2, 0.3)
    sign = (stream.choice("darker", 2) * 2 - 1).astype(np.float32) if both else np.full(len(middle), -1, np.float32)
    tint, other = stream.uniforms("tint", 3, -0.08, 0.08), stream.uniforms("other tint", 3, -0.08, 0.08)
    return (middle - sign * half)[:, None] + tint, (middle + sign * half)[:, None] + other


def _each(stream: Stream, name: str, low: float, high: float) -> Floats:
    return stream.uniform(name, low, high)[:, None, None]


def placed(stream: Stream, x: Floats, y: Floats, *, shift: float, turn: float) -> tuple[Floats, Floats]:
    """Return coordinates that are shifted by up to `shift` and turned, ``(n, size, size)``.

    Args:
        turn: The largest slope of the turn; 1 is 45 degrees.
    """
    slope = _each(stream, "turn", -turn, turn)
    length = np.sqrt(1 + slope * slope)
    cosine, sine = 1 / length, slope / length
    u, v = x - _each(stream, "shift x", -shift, shift), y - _each(stream, "shift y", -shift, shift)
    return cosine * u + sine * v, cosine * v - sine * u


def edge(distance: Floats, softness: float) -> Floats:
    """Return 1 where `distance` is negative and 0 where it is positive, with a ramp as wide as `softness`."""
    ramp: Floats = np.clip(np.float32(0.5) - distance / np.float32(softness), 0, 1)
    return ramp


def among(label: NDArray[np.int64], patterns: list[Floats]) -> Floats:
    """Return for each image the pattern of its class."""
    return np.choose(label[:, None, None], patterns).astype(np.float32)
