"""The dataset `counts`: how many discs are there?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench_plugins.datasets.drawn.canvas import Drawn, edge
from robench_plugins.datasets.leaf_synth.random_streams import Floats, Stream

CELLS = 3
"""Discs lie in different cells of a square of so many a side, so that they never touch."""


class Counts(Drawn):
    """One to six discs of random places and sizes; nothing else tells the classes apart."""

    called = "counts"
    both = False
    looks = {
        "one disc": "a clean even ground with one dot",
        "two discs": "a pair of dots",
        "three discs": "three dots",
        "four discs": "four medium dots",
        "five discs": "many dots, five",
        "six discs": "sprinkled with six dots",
    }

    def cover(self, stream: Stream, label: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
        """Return the discs, each in a cell of its own."""
        order = np.argsort(stream.bits("cells", CELLS * CELLS), axis=1, kind="stable")
        radii = stream.uniforms("radii", len(self.looks), 0.2, 0.26)
        nudges = stream.uniforms("nudges", 2 * len(self.looks), -0.07, 0.07)
        covered = np.zeros((len(label), y.shape[1], x.shape[2]), np.float32)
        for disc in range(len(self.looks)):
            row, column = np.divmod(order[:, disc], CELLS)
            at_x, at_y = (
                (cell.astype(np.float32) * 2 + 1) / CELLS - 1 + nudges[:, 2 * disc + axis]
                for axis, cell in enumerate((column, row))
            )
            u, v = x - at_x[:, None, None], y - at_y[:, None, None]
            found = edge(np.sqrt(u * u + v * v) - radii[:, disc, None, None], 0.08)
            covered = np.maximum(covered, found * (label >= disc)[:, None, None])
        return covered
