"""Brightness, contrast, saturation, elastic distortion, pixelation and JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from robench_plugins.corruptions.noise import Randoms
from robench_plugins.corruptions.resampling import Images, blurred, sampled


def contrast(images: Images, random: Randoms, strength: float) -> Images:
    """Move values towards the mean of their channel."""
    means = images.mean(axis=(2, 3), keepdims=True)
    found: Images = (images - means) * np.float32(strength) + means
    return found


def brightness(images: Images, random: Randoms, strength: float) -> Images:
    """Add to the value of HSV; hue and saturation stay."""
    value = images.max(axis=1, keepdims=True)
    brighter = np.clip(value + np.float32(strength), 0, 1)
    found: Images = np.where(value > 0, images * (brighter / np.maximum(value, 1e-9)), brighter)
    return found


def saturate(images: Images, random: Randoms, strength: tuple[float, float]) -> Images:
    """Multiply the saturation of HSV, and add to it; hue and value stay. Grey becomes red, as it has the hue 0."""
    times, plus = strength
    value = images.max(axis=1, keepdims=True)
    missing = value - images
    spread = missing.max(axis=1, keepdims=True)
    hue = np.where(spread > 0, missing / np.maximum(spread, 1e-9), np.array([0, 1, 1], np.float32)[:, None, None])
    saturation = np.clip(times * spread / np.maximum(value, 1e-9) + plus, 0, 1)
    found: Images = (value * (1 - saturation * hue)).astype(np.float32)
    return found


def elastic_transform(images: Images, random: Randoms, strength: tuple[float, float, float]) -> Images:
    """Move three corners at random, and then each pixel along a smooth random field.

    By the size of the field, its smoothness, and how far corners move, as shares of the shorter side.
    """
    height, width = images.shape[-2:]
    reach, smooth, corner = (min(height, width) * share for share in strength)
    size = float(max(1, min(height, width) // 3))
    middle = np.array([height // 2, width // 2], np.float64)
    before = middle + np.array([[size, size], [size, -size], [-size, -size]])
    row, column = np.mgrid[:height, :width].astype(np.float64)
    rows, columns, fields = [], [], []
    for each in random:
        after = before + each.uniform(-corner, corner, size=before.shape)
        # Each pixel is read where the affine map comes from; the published program counts corners as (x, y).
        back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
        columns.append(back[0, 0] * column + back[1, 0] * row + back[2, 0])
        rows.append(back[0, 1] * column + back[1, 1] * row + back[2, 1])
        fields.append(each.uniform(-1, 1, size=(2, height, width)))
    turned = sampled(images, np.stack(rows), np.stack(columns), edge_twice=False)
    field = reach * blurred(np.stack(fields).astype(np.float32), smooth, mode="reflect", truncate=3)
    return sampled(turned, row + field[:, 1], column + field[:, 0], edge_twice=True)


def pixelate(images: Images, random: Randoms, strength: float) -> Images:
    """Shrink to a share of `strength` of the side, and enlarge again, with boxes."""
    return _each(images, lambda image: _boxes(image, strength))


def jpeg_compression(images: Images, random: Randoms, strength: int) -> Images:
    """Compress as JPEG of the quality `strength`."""
    return _each(images, lambda image: _jpeg(image, strength))


def _boxes(image: Image.Image, share: float) -> Image.Image:
    width, height = (max(1, int(side * share)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def _each(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    levels = (images * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    changed = np.stack([np.asarray(change(Image.fromarray(each))) for each in levels])
    return changed.transpose(0, 3, 1, 2).astype(np.float32) / 255
