"""Read photographs of every kind, such as turned, grey, transparent or CMYK ones, as upright RGB images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from robench import DataError


def read_photograph(path: Path) -> Image.Image:
    """Return an upright RGB image; what is transparent becomes white.

    Raises:
        DataError: The file is damaged, cut short, or no image.
    """
    try:
        with Image.open(path) as file:
            file.load()
            image = ImageOps.exif_transpose(file)
    except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
        raise DataError(f"{path} is damaged: {error}") from error
    if image.mode.startswith("I"):
        # PIL clips 16 bits to 8 instead of scaling them.
        image = Image.fromarray((np.asarray(image).astype(np.float64) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def to_square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Return the largest central square of `image` at `size` pixels, ``uint8 (3, size, size)``."""
    fitted = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted).transpose(2, 0, 1)
