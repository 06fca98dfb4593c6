"""The dataset `textures`: a pattern that fills the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench_plugins.datasets.drawn.canvas import Drawn, among, edge, placed
from robench_plugins.datasets.leaf_synth.random_streams import Floats, Stream


class Textures(Drawn):
    """Eight patterns of random pitch, phase, turn and colour."""

    called = "textures"
    looks = {
        "horizontal stripes": "stripes lying flat, one above the other",
        "vertical stripes": "upright stripes side by side",
        "diagonal stripes": "tilted bands",
        "checks": "checks of pale and deep squares",
        "dots": "sprinkled with small dots",
        "rings": "rings within rings",
        "grid": "a grid of fine lines",
        "zigzags": "pointed waves",
    }

    def cover(self, stream: Stream, label: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
        """Return the pattern: waves of one pitch, cut at half their height."""
        pitch = stream.uniform("pitch", 1.8, 3.6)[:, None, None]
        sign = (stream.choice("slope", 2) * 2 - 1).astype(np.float32)[:, None, None]
        u, v = placed(stream, x, y, shift=0.5, turn=0.15)
        u, v = u * pitch, v * pitch
        across, down = _wave(u), _wave(v)
        slanted = _wave((u + sign * v) * np.float32(0.7071068))
        spots = np.sqrt(_from_centre(u) ** 2 + _from_centre(v) ** 2)
        patterns = [
            down,
            across,
            slanted,
            across * down * 2,
            (spots - np.float32(0.3)) * 2,
            _wave(np.sqrt(u * u + v * v)),
            np.minimum(np.abs(_from_centre(u)), np.abs(_from_centre(v))) * 2 - np.float32(0.2),
            _wave(v + np.abs(_from_centre(u)) * 2),
        ]
        return edge(among(label, patterns), 0.4)


def _from_centre(t: Floats) -> Floats:
    """Return how far `t` is from the middle between two whole numbers, in [-0.5, 0.5]."""
    return t - np.floor(t) - np.float32(0.5)


def _wave(t: Floats) -> Floats:
    """Return a triangle wave of period 1, in [-0.5, 0.5]."""
    return np.abs(_from_centre(t)) * 2 - np.float32(0.5)
