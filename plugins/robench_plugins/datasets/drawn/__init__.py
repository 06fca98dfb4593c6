"""Data sets that are drawn, besides the leaves: ``shapes``, ``textures`` and ``counts``. They need no files.

`canvas` is what they share. Images are functions of data_seed, split and index, in arithmetic that every processor
rounds alike (+ - * / sqrt floor), so every machine draws the same bytes.
"""

from robench_plugins.datasets.drawn.counts import Counts
from robench_plugins.datasets.drawn.shapes import Shapes
from robench_plugins.datasets.drawn.textures import Textures

__all__ = ["Counts", "Shapes", "Textures"]
