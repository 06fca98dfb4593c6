"""Drops of water, and of mud at the higher severities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate, distance_transform_edt, label, uniform_filter

from robench_plugins.corruptions.noise import Randoms
from robench_plugins.corruptions.resampling import Images, blurred

WATER, MUD = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255)
RELIEF = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float64)
FAR, WEAK, STRONG = 20.0, 50.0, 150.0
"""The distance from an edge at which drops are thick, in pixels, and the thresholds of edges."""
SECTORS = ((0, 1), (1, 1), (1, 0), (1, -1))
"""Steps across an edge, down and right, by the direction of its gradient in eighths of a turn."""


def spatter(images: Images, random: Randoms, strength: tuple[float, float, float, float, float, int]) -> Images:
    """Add drops, by mean, deviation and blur of their noise, its threshold, their opacity, and whether they are mud."""
    mean, deviation, smooth, threshold, opacity, is_mud = strength
    noise = np.stack([each.normal(mean, deviation, images.shape[-2:]) for each in random]).astype(np.float32)
    liquid = blurred(noise, smooth)
    colour = np.array(MUD if is_mud else WATER, np.float32)[:, None, None]
    if is_mud:
        cover = blurred((liquid > threshold).astype(np.float32), opacity)
        cover = np.where(cover < 0.8, 0, cover)[:, None]
        found: Images = images * (1 - cover) + colour * cover
        return found
    liquid = np.where(liquid < threshold, 0, liquid)
    return images + colour * (opacity * np.stack([_relief(np.floor(each * 255)) for each in liquid]))[:, None]


def _relief(liquid: NDArray[np.float32]) -> Images:
    """Return how bright each pixel of a layer of liquid, 0 to 255, looks, from 0 to 1."""
    edges = edges_of(np.clip(liquid, 0, 255).astype(np.float64))
    far = distance_transform_edt(~edges) if edges.any() else np.full(liquid.shape, FAR)
    depth = _equalised(np.floor(uniform_filter(np.minimum(far, FAR), 3, mode="mirror") + 0.5))
    lit = np.clip(correlate(depth, RELIEF, mode="mirror"), 0, 255)
    shine = liquid * np.round(uniform_filter(lit, 3, mode="mirror"))
    return (shine / max(float(shine.max()), 1e-9)).astype(np.float32)


def edges_of(grey: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a picture ``(H, W)`` of values from 0 to 255 has edges.

    Source: Canny, "A computational approach to edge detection", 1986, with OpenCV's choices: Sobel's derivatives, the
    sum of their sizes, and the neighbours in four directions.
    """
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    across = correlate(grey, np.outer(smooth, slope), mode="nearest")
    down = correlate(grey, np.outer(slope, smooth), mode="nearest")
    size = np.abs(across) + np.abs(down)
    sector = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    padded = np.pad(size, 1)
    height, width = grey.shape
    thin = np.zeros(grey.shape, bool)
    for number, (row, column) in enumerate(SECTORS):
        before = padded[1 - row : 1 - row + height, 1 - column : 1 - column + width]
        after = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        thin |= (sector == number) & (size > before) & (size >= after)
    weak = thin & (size > WEAK)
    parts, _ = label(weak, np.ones((3, 3)))
    strong = np.unique(parts[weak & (size > STRONG)])
    return weak & np.isin(parts, strong[strong > 0])


def _equalised(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels from 0 to 255 spread so that each range has as many pixels, as OpenCV's ``equalizeHist``."""
    counts = np.bincount(levels.astype(int).ravel(), minlength=256)
    sums = counts.cumsum()
    first = counts[np.flatnonzero(counts)[0]]
    if first == levels.size:
        return levels
    found: NDArray[np.float64] = np.round(np.maximum(sums - first, 0) * (255 / (levels.size - first)))[
        levels.astype(int)
    ]
    return found
