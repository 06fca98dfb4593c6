"""The dataset `leaf-synth`: its parameters, its splits and its prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from robench import DataError, Dataset, Field, ImageSet, Params

from robench_plugins.datasets.leaf_synth.classes import CLASS_NAMES, PROMPTS, labels
from robench_plugins.datasets.leaf_synth.render import render
from robench_plugins.datasets.readers.photographs import ReadsPhotographs

SIZES = {"train": 50_000, "validation": 5_000, "test": 10_000}


class LeafSynthParams(Params):
    """How the leaves are drawn."""

    size: int = Field(default=32, ge=16, le=512, description="height and width in pixels")
    data_seed: int = Field(default=0, ge=0, description="another seed draws other leaves of the same kind")


class LeafSynth(ReadsPhotographs, Dataset):
    """Procedurally drawn tomato leaves with the ten PlantVillage tomato conditions. Synthetic: no photographs.

    Each image is a function of (data_seed, split, index), so every machine draws the same bytes. Shapes, pose,
    light, background and severity vary; symptoms follow their descriptions in the plant-disease literature. Scores
    on it say how methods compare, not how well a diagnosis would work in a field.
    """

    Params = LeafSynthParams
    params: LeafSynthParams

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten PlantVillage tomato classes."""
        return CLASS_NAMES

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Draw the first `limit` leaves of a split; classes take turns, so every prefix is balanced.

        Raises:
            DataError: The split has fewer leaves than asked for.
        """
        n = SIZES[name] if limit is None else limit
        if n > SIZES[name]:
            raise DataError(f"leaf-synth has {SIZES[name]:,} {name} images; {n:,} were asked for")
        images = render(self.params.data_seed, name, np.arange(n), self.params.size)
        return ImageSet(images=images, labels=labels(n).astype(np.int64))

    def size(self, name: str) -> int:
        """Return how many leaves a split has, drawing none."""
        return SIZES[name]

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, drawing no leaf."""
        return labels(SIZES[name]).astype(np.int64)

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Draw the leaves at `positions` of a split."""
        images = render(self.params.data_seed, name, positions, self.params.size)
        return ImageSet(images=images, labels=self.labels(name)[positions])

    def at_hand(self) -> bool:
        """Return true: nothing is loaded."""
        return True

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return descriptions of what is visible; the conditions' names do not occur in them."""
        return PROMPTS
