"""Noise: Gaussian, shot, impulse and speckle. Images are ``float32 (N, 3, H, W)`` in ``[0, 1]``, and so are results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import RandomState

from robench_plugins.corruptions.resampling import Images

Randoms = Sequence[RandomState]


def gaussian_noise(images: Images, random: Randoms, strength: float) -> Images:
    """Add noise of a standard deviation of `strength`."""
    return images + strength * _normal(images, random)


def shot_noise(images: Images, random: Randoms, strength: float) -> Images:
    """Count photons: each value is drawn from a Poisson distribution, of `strength` photons for white."""
    counted = np.stack([each.poisson(image * strength) for each, image in zip(random, images, strict=True)])
    return (counted / strength).astype(np.float32)


def impulse_noise(images: Images, random: Randoms, strength: float) -> Images:
    """Set a share of `strength` of all values to 0 or 1."""
    drawn = np.stack([each.uniform(size=(2, *image.shape)) for each, image in zip(random, images, strict=True)])
    return np.where(drawn[:, 0] <= strength, (drawn[:, 1] <= 0.5).astype(np.float32), images)


def speckle_noise(images: Images, random: Randoms, strength: float) -> Images:
    """Add noise in proportion to each value."""
    return images + images * strength * _normal(images, random)


def _normal(images: Images, random: Randoms) -> Images:
    return np.stack([each.normal(size=images.shape[1:]) for each in random]).astype(np.float32)
