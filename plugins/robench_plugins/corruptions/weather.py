"""Weather: fog, snow and frost. Images are ``float32 (N, 3, H, W)`` in ``[0, 1]``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import RandomState
from robench import DataError

from robench_plugins.corruptions.blur import smeared
from robench_plugins.corruptions.noise import Randoms
from robench_plugins.corruptions.plasma import plasma
from robench_plugins.corruptions.resampling import Images, zoomed

FROST_DECAY, ICE = 1.6, (0.87, 0.93, 1.0)
"""How rough drawn frost is, and its colour."""


def fog(images: Images, random: Randoms, strength: tuple[float, float]) -> Images:
    """Add a cloud, by its density and the decay of its details, and scale back to the brightest value."""
    density, decay = strength
    cloud = plasma(random, images.shape[2], images.shape[3], decay)[:, None]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    found: Images = (images + np.float32(density) * cloud) * (brightest / (brightest + np.float32(density)))
    return found


def snow(images: Images, random: Randoms, strength: tuple[float, float, float, float, float, float, float]) -> Images:
    """Whiten, and add flakes that fall twice, once turned by 180 degrees.

    By the mean and the deviation of the noise that flakes are made of, their zoom, the threshold above which noise is a
    flake, the length and the fading of the fall, and the share of the image that is not whitened.
    """
    mean, deviation, zoom, threshold, length, fading, kept = strength
    height, width = images.shape[-2:]
    noise = np.stack([each.normal(mean, deviation, (height, width)) for each in random]).astype(np.float32)
    flakes = zoomed(noise, zoom)
    flakes = np.floor(np.clip(np.where(flakes < threshold, 0, flakes), 0, 1) * 255) / np.float32(255)
    fallen = np.stack(
        [
            smeared(flake[None], length, fading, each.uniform(-135, -45))
            for flake, each in zip(flakes, random, strict=True)
        ]
    )
    grey = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), images, axes=(0, 1))[:, None]
    whitened = np.float32(kept) * images + np.float32(1 - kept) * np.maximum(images, grey * 1.5 + 0.5)
    found: Images = whitened + fallen + fallen[:, :, ::-1, ::-1]
    return found


def frost(images: Images, random: Randoms, strength: tuple[float, float], pictures: Sequence[Images] = ()) -> Images:
    """Add a random part of a picture of frost, by the weights of the image and of the picture.

    Args:
        pictures: Photographs of frost, each ``(3, H, W)`` in ``[0, 1]``; without any, frost is drawn.
    """
    of_image, of_frost = strength
    height, width = images.shape[-2:]
    if pictures:
        layer = np.stack([_part(pictures, each, height, width) for each in random])
    else:
        layer = _drawn(random, height, width)
    found: Images = np.float32(of_image) * images + np.float32(of_frost) * layer
    return found


def _drawn(random: Randoms, height: int, width: int) -> Images:
    """Return frost as bright ridges of clouds, ``(N, 3, height, width)``."""
    ridges = 1 - np.abs(2 * plasma(random, height, width, FROST_DECAY) - 1)
    light = 0.25 + 0.75 * ridges**2
    return (light[:, None] * np.array(ICE, np.float32)[:, None, None]).astype(np.float32)


def _part(pictures: Sequence[Images], random: RandomState, height: int, width: int) -> Images:
    picture = pictures[random.randint(len(pictures))]
    spare = picture.shape[1] - height, picture.shape[2] - width
    if min(spare) < 0:
        raise DataError(
            f"a picture of frost has {picture.shape[1]} x {picture.shape[2]} pixels; expected at least "
            f"{height} x {width}, the size of the images"
        )
    top, left = (random.randint(each + 1) for each in spare)
    return picture[:, top : top + height, left : left + width]
