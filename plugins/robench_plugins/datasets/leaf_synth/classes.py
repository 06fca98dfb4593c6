"""The ten conditions of a tomato leaf: numbers that say how to draw each, and prompts that describe it.

Appearances follow the PlantVillage tomato classes (Hughes and Salathe 2015, arXiv:1511.08060).
Prompts describe visible attributes and never name a disease.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RGB = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """How one condition alters a leaf; lengths in half leaf lengths, colours in [0, 1].

    Lesions sit one to a cell of a square grid: `cell` is the grid pitch, `density` the share of
    cells that hold a lesion, `radius` the lesion radius as a share of half a cell.
    """

    name: str
    prompts: tuple[str, ...]
    cell: Range = (0.5, 0.5)
    density: Range = (0.0, 0.0)
    radius: Range = (0.5, 0.5)
    core: RGB = (0.0, 0.0, 0.0)
    rim: RGB = (0.0, 0.0, 0.0)
    halo: RGB = (0.0, 0.0, 0.0)
    opacity: Range = (0.0, 0.0)
    halo_opacity: float = 0.0
    halo_width: float = 1.0
    rings: float = 0.0
    softness: float = 0.3
    warp: float = 0.1
    mottle: Range = (0.0, 0.0)
    yellow_margin: Range = (0.0, 0.0)
    curl: Range = (0.0, 0.15)


SYMPTOMS: tuple[Symptom, ...] = (
    Symptom(
        name="Target_Spot",
        prompts=(
            "a leaf with round tan spots ringed like a target",
            "a leaf with medium brown spots of alternating light and dark rings",
            "a leaf bearing ringed tan lesions without a yellow halo",
        ),
        cell=(0.42, 0.60),
        density=(0.5, 0.9),
        radius=(0.50, 0.80),
        core=(0.62, 0.53, 0.40),
        rim=(0.34, 0.28, 0.20),
        opacity=(0.40, 0.80),
        rings=0.9,
        softness=0.25,
        warp=0.08,
    ),
    Symptom(
        name="Spider_mites_Two_spotted_spider_mite",
        prompts=(
            "a leaf with fine pale stippling",
            "a leaf dusted with tiny pale yellow dots",
            "a leaf bleached by countless fine light specks",
        ),
        cell=(0.12, 0.17),
        density=(0.5, 0.85),
        radius=(0.40, 0.65),
        core=(0.74, 0.74, 0.50),
        rim=(0.66, 0.68, 0.44),
        opacity=(0.35, 0.70),
        softness=0.8,
    ),
    Symptom(
        name="Bacterial_spot",
        prompts=(
            "a leaf with tiny dark specks in yellowish halos",
            "a leaf sprinkled with small black dots",
            "a leaf with many minute dark spots, yellow around them",
        ),
        cell=(0.22, 0.30),
        density=(0.35, 0.7),
        radius=(0.36, 0.56),
        core=(0.16, 0.13, 0.09),
        rim=(0.20, 0.17, 0.10),
        halo=(0.62, 0.60, 0.24),
        opacity=(0.40, 0.85),
        halo_opacity=0.35,
        halo_width=1.2,
    ),
    Symptom(
        name="Late_blight",
        prompts=(
            "a leaf with large dark water-soaked patches",
            "a leaf with big irregular grey-brown blotches",
            "a leaf partly collapsed into a wide brown-grey area",
        ),
        cell=(0.95, 1.35),
        density=(0.45, 0.85),
        radius=(0.60, 0.95),
        core=(0.42, 0.36, 0.30),
        rim=(0.26, 0.29, 0.20),
        halo=(0.56, 0.62, 0.40),
        opacity=(0.35, 0.85),
        halo_opacity=0.4,
        halo_width=0.3,
        softness=0.35,
        warp=0.45,
    ),
    Symptom(
        name="Septoria_leaf_spot",
        prompts=(
            "a leaf with small pale-centred spots in dark rims",
            "a leaf with many little round spots, grey in the middle and dark at the edge",
            "a leaf peppered with small greyish spots outlined in brown",
        ),
        cell=(0.24, 0.34),
        density=(0.35, 0.75),
        radius=(0.50, 0.80),
        core=(0.70, 0.67, 0.56),
        rim=(0.22, 0.18, 0.12),
        opacity=(0.45, 0.85),
        softness=0.2,
    ),
    Symptom(
        name="Leaf_Mold",
        prompts=(
            "a leaf with diffuse yellow and olive patches",
            "a leaf with blurred pale yellow areas turning olive",
            "a leaf with soft-edged yellowish olive blotches",
        ),
        cell=(0.50, 0.75),
        density=(0.4, 0.8),
        radius=(0.55, 0.90),
        core=(0.46, 0.43, 0.18),
        rim=(0.66, 0.65, 0.28),
        opacity=(0.40, 0.80),
        softness=1.0,
        warp=0.35,
    ),
    Symptom(
        name="Early_blight",
        prompts=(
            "a leaf with dark brown concentric lesions in a yellow halo",
            "a leaf with large brown ringed spots surrounded by yellow",
            "a leaf with a few brown lesions, yellowing around them",
        ),
        cell=(0.60, 0.90),
        density=(0.45, 0.85),
        radius=(0.40, 0.65),
        core=(0.30, 0.20, 0.12),
        rim=(0.40, 0.28, 0.17),
        halo=(0.74, 0.68, 0.22),
        opacity=(0.35, 0.85),
        halo_opacity=0.6,
        halo_width=0.8,
        rings=0.7,
        softness=0.3,
        warp=0.15,
    ),
    Symptom(
        name="YellowLeaf_Curl_Virus",
        prompts=(
            "a leaf with yellow margins curling upwards",
            "a cupped leaf, yellow at the edge and green along the veins",
            "a crinkled leaf with yellowing curled edges",
        ),
        yellow_margin=(0.20, 0.75),
        curl=(0.3, 0.9),
    ),
    Symptom(
        name="healthy",
        prompts=(
            "a clean evenly green leaf",
            "a leaf of even green without any spots",
            "an unblemished green leaf",
        ),
    ),
    Symptom(
        name="mosaic_virus",
        prompts=(
            "a leaf mottled in light and dark green",
            "a leaf with a mosaic of pale and deep green areas",
            "a leaf with uneven patches of light green and dark green",
        ),
        mottle=(0.35, 0.9),
        curl=(0.0, 0.35),
    ),
)

CLASS_NAMES: tuple[str, ...] = tuple(symptom.name for symptom in SYMPTOMS)
PROMPTS: tuple[tuple[str, ...], ...] = tuple(symptom.prompts for symptom in SYMPTOMS)


def labels(n: int) -> NDArray[np.int64]:
    """Return the labels of images 0 .. n-1: classes take turns."""
    return np.arange(n, dtype=np.int64) % len(CLASS_NAMES)
