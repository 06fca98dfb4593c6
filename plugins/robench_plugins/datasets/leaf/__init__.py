"""The dataset `leaf`: `folder` as PlantVillage's tomato leaves need it; `names` knows how their classes are spelled."""

from robench_plugins.datasets.leaf.dataset import Leaf, LeafParams

__all__ = ["Leaf", "LeafParams"]
