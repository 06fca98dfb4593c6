"""The dataset `shapes`: one plain figure on a plain ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench_plugins.datasets.drawn.canvas import Drawn, among, edge, placed
from robench_plugins.datasets.leaf_synth.random_streams import Floats, Stream

_ROOT_3 = np.float32(0.8660254)


class Shapes(Drawn):
    """Eight figures of random place, size, turn and colour."""

    called = "shapes"
    both = False
    looks = {
        "circle": "one round dot",
        "ring": "a hoop",
        "square": "a large square blotch",
        "triangle": "a triangle with a pointed top",
        "cross": "a cross of two bars",
        "bar": "one long line",
        "half circle": "half of a round spot",
        "crescent": "a moon with curled edges",
    }

    def cover(self, stream: Stream, label: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
        """Return the figure: where its signed distance is negative."""
        radius = stream.uniform("radius", 0.6, 0.8)[:, None, None]
        u, v = placed(stream, x, y, shift=0.1, turn=0.1)
        u, v = u / radius, v / radius
        a, b, r = np.abs(u), np.abs(v), np.sqrt(u * u + v * v)
        bite = np.sqrt((u - np.float32(0.5)) ** 2 + v * v)
        figures = [
            r - 1,
            np.abs(r - np.float32(0.75)) - np.float32(0.2),
            np.maximum(a, b) - np.float32(0.85),
            np.maximum(v, _ROOT_3 * a - v / 2) - np.float32(0.5),
            np.minimum(np.maximum(a - 1, b - np.float32(0.3)), np.maximum(b - 1, a - np.float32(0.3))),
            np.maximum(a - 1, b - np.float32(0.3)),
            np.maximum(r - 1, v),
            np.maximum(r - 1, np.float32(0.85) - bite),
        ]
        return edge(among(label, figures), 0.12)
