"""The dataset `leaf-synth`: its parameters, its splits and its prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from robench import ImageSet

from robench_plugins.datasets.leaf_synth.classes import CLASS_NAMES, PROMPTS, labels
from robench_plugins.datasets.leaf_synth.render import render
from robench_plugins.datasets.readers.photographs import ReadsPhotographs
from robench_plugins.datasets.without_files import DrawnParams, WithoutFiles


class LeafSynth(ReadsPhotographs, WithoutFiles):
    """Procedurally drawn tomato leaves with the ten PlantVillage tomato conditions. Synthetic: no photographs.

    Each image is a function of (data_seed, split, index), so every machine draws the same bytes. Shapes, pose,
    light, background and severity vary; symptoms follow their descriptions in the plant-disease literature. Scores
    on it say how methods compare, not how well a diagnosis would work in a field.
    """

    Params = DrawnParams
    params: DrawnParams
    called = "leaf-synth"
    sizes = {"train": 50_000, "validation": 5_000, "test": 10_000}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten PlantVillage tomato classes."""
        return CLASS_NAMES

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, drawing no leaf."""
        return labels(self.sizes[name]).astype(np.int64)

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Draw the leaves at `positions` of a split."""
        images = render(self.params.data_seed, name, positions, self.params.size)
        return ImageSet(images=images, labels=self.labels(name)[positions])

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return descriptions of what is visible; the conditions' names do not occur in them."""
        return PROMPTS
