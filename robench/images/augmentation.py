"""Random changes of training images that keep their class. Each image has its own seed."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

Recipe = Literal["none", "study-cnn", "study-vit"]

LARGEST_HOLE = 25 / 256
"""Largest side of a hole, as a share of the image's side: 25 pixels of the study's 256."""
MOST_HOLES = 8
GREY = 128


def augment(images: NDArray[np.uint8], seeds: NDArray[np.int64], recipe: Recipe) -> NDArray[np.uint8]:
    """Return augmented copies of `images` ``uint8 (N, 3, H, W)``. A copy depends only on its image and its seed.

    ``study-cnn``: random resized crop (scale 0.8 to 1) with probability 0.7, rotation by up to 20 degrees with 0.4,
    horizontal flip with 0.4, colour jitter of 0.1 with 0.5. ``study-vit``: the same with 1.0 for the crop and 0.7 for
    the jitter, then up to eight grey holes with 0.5.
    """
    if recipe == "none":
        return images
    transform = _pipeline(recipe)
    changed = np.empty_like(images)
    with torch.random.fork_rng(devices=[]):
        for position, seed in enumerate(seeds):
            torch.manual_seed(int(seed))
            changed[position] = transform(torch.from_numpy(np.array(images[position]))).numpy()
    return changed


def punch(image: torch.Tensor) -> torch.Tensor:
    """Return `image` ``uint8 (3, H, W)`` with one to eight grey rectangles of random size and place.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017
    (arXiv:1708.04552). Deviation: several holes, known as coarse dropout.
    """
    image = image.clone()
    height, width = image.shape[-2:]
    for _ in range(int(torch.randint(1, MOST_HOLES + 1, ()))):
        tall, wide = (int(torch.randint(1, max(1, round(LARGEST_HOLE * side)) + 1, ())) for side in (height, width))
        top, left = (int(torch.randint(side - hole + 1, ())) for side, hole in ((height, tall), (width, wide)))
        image[:, top : top + tall, left : left + wide] = GREY
    return image


@cache
def _pipeline(recipe: Recipe) -> Any:
    from torchvision.transforms import v2

    vit = recipe == "study-vit"

    def crop(image: torch.Tensor) -> torch.Tensor:
        resized: torch.Tensor = v2.RandomResizedCrop(image.shape[-2:], scale=(0.8, 1.0), antialias=True)(image)
        return resized

    steps = [
        v2.RandomApply([v2.Lambda(crop)], p=1.0 if vit else 0.7),
        v2.RandomApply([v2.RandomRotation(20, interpolation=v2.InterpolationMode.BILINEAR)], p=0.4),
        v2.RandomHorizontalFlip(p=0.4),
        v2.RandomApply([v2.ColorJitter(0.1, 0.1, 0.1, 0.1)], p=0.7 if vit else 0.5),
    ]
    holes = [v2.RandomApply([v2.Lambda(punch)], p=0.5)] if vit else []
    return v2.Compose([*steps, *holes])
