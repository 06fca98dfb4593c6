"""The dataset `leaf`: photographs in folders that are named for their classes, of leaves or of anything else.

`dataset` is what robench calls, `index` looks through the folder, `names` knows how PlantVillage's classes are spelled,
`near_duplicates` finds photographs of one leaf, and `splits` divides them into training, validation and test images.
"""

from robench_plugins.datasets.leaf.dataset import Leaf, LeafParams

__all__ = ["Leaf", "LeafParams"]
