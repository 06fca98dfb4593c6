"""Draw tomato leaves with numpy, at any size; seed, split and index alone decide what an image looks like.

The arithmetic is limited to operations that every processor rounds alike (+ - * / sqrt floor), so the bytes are the
same on every machine and in every batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench_plugins.datasets.leaf_synth.random_streams import Floats, mix32
from robench_plugins.datasets.leaf_synth.scene import Scene, draw_scene

_CHUNK_PIXELS = 1 << 16


def render(seed: int, split: str, indices: NDArray[np.int64], size: int = 32) -> NDArray[np.uint8]:
    """Draw the images of `indices`: uint8 in [0, 255], (n, 3, size, size)."""
    images = np.empty((len(indices), 3, size, size), np.uint8)
    step = max(1, _CHUNK_PIXELS // size**2)
    for start in range(0, len(indices), step):
        scene = draw_scene(seed, split, np.asarray(indices[start : start + step]))
        images[start : start + step] = _paint(scene, size)
    return images


def _paint(scene: Scene, size: int) -> NDArray[np.uint8]:
    """Paint background, cast shadow, blade, veins and symptoms, then pass it through the camera."""
    grid = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
    x, y = grid[None, None, :], grid[None, :, None]
    pixel = np.float32(2 / size) / scene.length
    coarse, fine = _field(scene.coarse, size), _field(scene.fine, size)

    u, v = _leaf_frame(scene, x, y)
    margin, inside = _outline(scene, u, v, pixel)
    shadow_u, shadow_v = _leaf_frame(scene, x - scene.shadow_x, y - scene.shadow_y)
    shadow = _outline(scene, shadow_u, shadow_v, pixel * 3)[1] * scene.shadow

    light = 1 + scene.light_x * x + scene.light_y * y
    background_light = (light + coarse * scene.cloth + fine * scene.grain) * (1 - shadow)
    veins, relief = _veins(scene, u, v, margin, pixel)
    cup = scene.curl * (margin * margin - 0.35)
    blade_light = light + relief + cup * 0.28 + coarse * 0.05
    mottle = _clip01(coarse * 1.6 + fine * 0.9 + 0.5) - np.float32(0.5)
    yellow = _clip01(margin * 1.6 - 0.55 + fine * 0.35) * (1 - veins) * scene.yellow_margin
    lesion, halo, depth = _lesions(scene, u, v, coarse, fine, pixel)
    ring = _ring(depth) * scene.rings
    blend = _clip01(depth * 2.2 - 1.0 + ring)

    images = np.empty((len(inside), 3, size, size), np.float32)
    for channel in range(3):
        colour = scene.leaf[channel] * (1 + veins * scene.vein_tint)
        colour = colour * (1 + mottle * (scene.mottle * _MOTTLE_TINT[channel]))
        colour = colour + (_YELLOW[channel] - colour) * yellow
        colour = colour + (scene.halo[channel] - colour) * halo
        core, rim = scene.core[channel], scene.rim[channel]
        colour = colour + (core + (rim - core) * blend - colour) * lesion
        background = scene.background[channel] * background_light
        images[:, channel] = background + (colour * blade_light - background) * inside
        images[:, channel] *= scene.exposure[channel]
    return _camera(scene, images)


_YELLOW = (0.80, 0.78, 0.22)
_MOTTLE_TINT = (0.75, 0.50, 0.45)


def _leaf_frame(scene: Scene, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Map image coordinates in [-1, 1] to the leaf's: u from base -1 to tip 1, v across."""
    x, y = x - scene.centre_x, y - scene.centre_y
    u = (x * scene.axis_x + y * scene.axis_y) / scene.length
    v = (y * scene.axis_x - x * scene.axis_y) / scene.length
    return u, v - scene.bend * (u * u - 0.3)


def _outline(scene: Scene, u: Floats, v: Floats, pixel: Floats) -> tuple[Floats, Floats]:
    """Return |v| as a share of the blade's half width, clipped to [0, 1], and the coverage."""
    s = _clip01(u * 0.5 + 0.5)
    root = np.sqrt(s)
    width = scene.pointed * (2.6 * root * (1 - s)) + (1 - scene.pointed) * (2 * root * np.sqrt(1 - s))
    side = np.where(v > 0, scene.lobe_phase, 1 - scene.lobe_phase)
    width = width * (1 - scene.lobe_depth * _wave(s * scene.lobes + side))
    width = width * (1 - scene.teeth_depth * _wave(s * scene.teeth + side * 3))
    width = width * (scene.aspect * (1 - 0.25 * scene.curl))
    across = np.abs(v)
    blade = _clip01((width - across) / pixel + 0.5) * (np.abs(u) < 1)
    stalk = _clip01((0.035 - across) / pixel + 0.5) * ((u < 0) & (u > -scene.stalk))
    return np.minimum(across / (width + 1e-3), 1), np.maximum(blade, stalk)


def _veins(scene: Scene, u: Floats, v: Floats, margin: Floats, pixel: Floats) -> tuple[Floats, Floats]:
    """Return vein coverage in [0, 1] and the relief of the blade between the veins."""
    across = np.abs(v)
    midrib = _clip01((0.05 - across) / (0.03 + pixel))
    wave = _wave((u - across * scene.vein_slope) * scene.vein_count + scene.vein_phase)
    side = _clip01((wave - 0.82) * 4) * (1 - margin) * 0.8
    veins = np.maximum(midrib, side)
    return veins, (0.5 - wave) * scene.relief * (1 - midrib)


def _lesions(
    scene: Scene, u: Floats, v: Floats, coarse: Floats, fine: Floats, pixel: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return lesion opacity, halo opacity and relative distance from the lesion's centre."""
    jumble = np.maximum(0.5 - scene.cell, 0)  # breaks up the grid where lesions are small
    column = u / scene.cell + scene.cell_x + coarse * jumble
    row = v / scene.cell + scene.cell_y + fine * jumble
    cell_x, cell_y = np.floor(column), np.floor(row)
    bits = cell_x.astype(np.int32).view(np.uint32) * np.uint32(0x9E3779B1)
    bits = bits ^ (cell_y.astype(np.int32).view(np.uint32) * np.uint32(0x85EBCA77))
    bits = mix32(bits ^ scene.cell_key)
    byte = np.float32(1 / 256)
    present = (bits >> np.uint32(24)).astype(np.float32) * byte < scene.density
    scale = 0.65 + 0.35 * ((bits >> np.uint32(16)) & np.uint32(255)).astype(np.float32) * byte
    radius = scene.radius * 0.5 * scale
    play = np.maximum(1 - 2 * radius, 0) * byte
    dx = column - cell_x - 0.5 + (0.5 - (bits & np.uint32(255)).astype(np.float32) * byte) * play
    dy = row - cell_y - 0.5
    dy = dy + (0.5 - ((bits >> np.uint32(8)) & np.uint32(255)).astype(np.float32) * byte) * play
    depth = np.sqrt(dx * dx + dy * dy) / radius + (coarse + fine) * scene.warp
    width = np.maximum(scene.softness, pixel / (scene.cell * radius))
    lesion = _clip01((1 - depth) / width + 0.5) * present * scene.opacity
    halo = _clip01(1 - (depth - 1) / scene.halo_width) * present * scene.halo_opacity
    return lesion, halo, depth


def _field(lattice: Floats, size: int) -> Floats:
    """Interpolate random lattices (n, k, k) in [-1, 1] smoothly: float64, (n, size, size)."""
    cells = lattice.shape[1] - 1
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    low = np.minimum(at.astype(np.int64), cells - 1)
    t = at - low
    t = t * t * (3 - 2 * t)
    rows: Floats = lattice[:, low] * (1 - t)[None, :, None] + lattice[:, low + 1] * t[None, :, None]
    field: Floats = rows[:, :, low] * (1 - t) + rows[:, :, low + 1] * t
    return field


def _camera(scene: Scene, images: Floats) -> NDArray[np.uint8]:
    """Blur by a binomial kernel, add sensor noise and round to uint8."""
    size = images.shape[-1]
    reach = max(1, size // 32)
    blurred: Floats = images
    for axis in (2, 3):
        before = np.take(blurred, np.maximum(np.arange(size) - reach, 0), axis)
        after = np.take(blurred, np.minimum(np.arange(size) + reach, size - 1), axis)
        blurred = blurred * 0.5 + (before + after) * 0.25
    images = images + (blurred - images) * scene.blur[:, None]
    bits = mix32(np.arange(images[0].size, dtype=np.uint32) ^ scene.noise_key[:, 0])
    noise = (bits & np.uint32(0xFFFF)).astype(np.float32) + (bits >> np.uint32(16)).astype(np.float32)
    grain: Floats = (noise * np.float32(1 / 65536) - 1).reshape(images.shape) * scene.noise[:, None]
    return (_clip01(images + grain) * 255 + 0.5).astype(np.uint8)


def _wave(t: Floats) -> Floats:
    """Triangle wave of period 1 in [0, 1], 1 at integers."""
    wave: Floats = np.abs(t - np.floor(t) - 0.5) * 2
    return wave


def _ring(depth: Floats) -> Floats:
    """Concentric rings over a lesion: in [-0.6, 0.6]."""
    return (_wave(depth * 1.9) - 0.5) * 1.2


def _clip01(values: Floats) -> Floats:
    """Clip to [0, 1]."""
    return np.clip(values, 0, 1)
