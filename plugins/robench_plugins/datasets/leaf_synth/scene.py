"""Choose at random what a picture shows: pose, light, background and severity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robench_plugins.datasets.leaf_synth.classes import RGB, SYMPTOMS
from robench_plugins.datasets.leaf_synth.random_streams import Floats, Stream

_BACKGROUNDS: tuple[RGB, ...] = (
    (0.55, 0.54, 0.55),  # grey
    (0.56, 0.49, 0.55),  # mauve
    (0.64, 0.59, 0.53),  # beige
    (0.46, 0.48, 0.57),  # bluish
    (0.44, 0.38, 0.34),  # brown
    (0.24, 0.24, 0.25),  # dark
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is drawn, float32 broadcastable to (n, size, size) unless said otherwise."""

    centre_x: Floats
    centre_y: Floats
    axis_x: Floats
    axis_y: Floats
    length: Floats
    aspect: Floats
    bend: Floats
    pointed: Floats
    lobes: Floats
    lobe_depth: Floats
    lobe_phase: Floats
    teeth: Floats
    teeth_depth: Floats
    stalk: Floats
    vein_slope: Floats
    vein_count: Floats
    vein_phase: Floats
    vein_tint: Floats
    relief: Floats
    curl: Floats
    cell: Floats
    cell_x: Floats
    cell_y: Floats
    cell_key: NDArray[np.uint32]
    density: Floats
    radius: Floats
    softness: Floats
    warp: Floats
    rings: Floats
    opacity: Floats
    halo_opacity: Floats
    halo_width: Floats
    mottle: Floats
    yellow_margin: Floats
    leaf: Floats  # colours: (3, n, 1, 1)
    core: Floats
    rim: Floats
    halo: Floats
    background: Floats
    exposure: Floats
    coarse: Floats  # random lattices: (n, k, k)
    fine: Floats
    light_x: Floats
    light_y: Floats
    cloth: Floats
    grain: Floats
    shadow: Floats
    shadow_x: Floats
    shadow_y: Floats
    blur: Floats
    noise: Floats
    noise_key: NDArray[np.uint32]


def draw_scene(seed: int, split: str, indices: NDArray[np.int64]) -> Scene:
    """Sample the scenes of `indices`, each from its own random stream."""
    stream = Stream(seed, split, indices)
    kind = indices % len(SYMPTOMS)
    severity = stream.uniform("severity")

    def plain(name: str, low: float, high: float) -> Floats:
        return stream.uniform(name, low, high)[:, None, None]

    def spec(name: str) -> Floats:
        return np.array([getattr(s, name) for s in SYMPTOMS], np.float32)[kind]

    def ranged(name: str, jitter: float = 1.0) -> Floats:
        bounds, at = spec(name), stream.uniform(name)
        at = severity * np.float32(1 - jitter) + at * np.float32(jitter)
        return (bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * at)[:, None, None]

    def tinted(base: Floats, name: str, spread: float) -> Floats:
        shades = base + stream.uniforms(name, 3, -spread, spread)
        return np.ascontiguousarray(shades.T)[:, :, None, None]

    turn = stream.uniform("turn", -0.3, 0.3)  # tan of half the angle from upright
    cosine = (1 - turn * turn) / (1 + turn * turn)
    sine = 2 * turn / (1 + turn * turn)
    backgrounds = np.array(_BACKGROUNDS, np.float32)
    background = backgrounds[stream.choice("background", len(_BACKGROUNDS))]
    greens = np.array([(0.26, 0.40, 0.24), (0.42, 0.56, 0.30)], np.float32)
    ripeness = stream.uniform("ripeness")[:, None]
    opacity = ranged("opacity", 0.3)
    brightness = stream.uniform("brightness", 0.78, 1.18)[:, None]
    keys = stream.bits("keys", 2).astype(np.uint32)[:, :, None, None]
    return Scene(
        centre_x=plain("centre_x", -0.1, 0.1),
        centre_y=plain("centre_y", -0.1, 0.1),
        axis_x=sine[:, None, None],
        axis_y=-cosine[:, None, None],
        length=plain("length", 0.84, 1.04),
        aspect=plain("aspect", 0.64, 0.90),
        bend=plain("bend", -0.18, 0.18),
        pointed=plain("pointed", 0.2, 0.9),
        lobes=plain("lobes", 2.0, 4.5),
        lobe_depth=plain("lobe_depth", 0.0, 0.30),
        lobe_phase=plain("lobe_phase", 0.0, 1.0),
        teeth=plain("teeth", 7.0, 12.0),
        teeth_depth=plain("teeth_depth", 0.0, 0.14),
        stalk=plain("stalk", 1.0, 1.35),
        vein_slope=plain("vein_slope", 0.5, 1.0),
        vein_count=plain("vein_count", 2.4, 3.8),
        vein_phase=plain("vein_phase", 0.0, 1.0),
        vein_tint=plain("vein_tint", -0.04, 0.16),
        relief=plain("relief", 0.02, 0.14),
        curl=ranged("curl", 0.5),
        cell=ranged("cell"),
        cell_x=plain("cell_x", 0.0, 64.0),
        cell_y=plain("cell_y", 0.0, 64.0),
        cell_key=keys[:, 0],
        density=ranged("density", 0.5),
        radius=ranged("radius", 0.7),
        softness=spec("softness")[:, None, None],
        warp=spec("warp")[:, None, None],
        rings=spec("rings")[:, None, None],
        opacity=opacity,
        halo_opacity=spec("halo_opacity")[:, None, None] * opacity,
        halo_width=spec("halo_width")[:, None, None],
        mottle=ranged("mottle", 0.3),
        yellow_margin=ranged("yellow_margin", 0.3),
        leaf=tinted(greens[0] + (greens[1] - greens[0]) * ripeness, "leaf", 0.035),
        core=tinted(spec("core"), "core", 0.06),
        rim=tinted(spec("rim"), "rim", 0.06),
        halo=tinted(spec("halo"), "halo", 0.05),
        background=tinted(background, "background_shade", 0.035),
        exposure=tinted(brightness, "white_balance", 0.035),
        coarse=stream.uniforms("coarse", 49, -1, 1).reshape(-1, 7, 7),
        fine=stream.uniforms("fine", 256, -1, 1).reshape(-1, 16, 16),
        light_x=plain("light_x", -0.16, 0.16),
        light_y=plain("light_y", -0.16, 0.16),
        cloth=plain("cloth", 0.0, 0.08),
        grain=plain("grain", 0.0, 0.08),
        shadow=plain("shadow", 0.0, 0.6),
        shadow_x=plain("shadow_x", -0.20, 0.20),
        shadow_y=plain("shadow_y", -0.05, 0.20),
        blur=plain("blur", 0.0, 0.4),
        noise=plain("noise", 0.01, 0.04),
        noise_key=keys[:, 1],
    )
