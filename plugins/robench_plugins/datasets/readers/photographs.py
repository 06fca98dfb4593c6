"""Read photographs of every kind, such as turned, grey, transparent or CMYK ones, as upright RGB images."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from robench import DataError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO", "PCX", "SGI")
"""What is read, whatever a file is called. Others, such as EPS, make PIL start further programs."""
LARGE, _ALONE = 2**24, Lock()
"""Pixels from which images are unpacked one at a time, so that many small files do not take gigabytes."""
MOST_COPIED, COPIED_ONCE = 2**26, ("1", "L", "P", "RGB", "CMYK", "YCbCr")
"""Most pixels of an image that is copied several times on its way to RGB, and modes that are not, of which PIL takes
2.7 times as many."""
DEEPEST = 65535
"""The largest value of a pixel: 16 bits."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned upright, by its EXIF orientation."""


def read_photograph(path: Path) -> Image.Image:
    """Return an upright RGB image; what is transparent becomes white.

    Raises:
        DataError: The file is damaged, cut short, no image, or no regular file.
    """
    return open_photograph(path)[0]


def open_photograph(path: Path) -> tuple[Image.Image, str, int]:
    """Return an upright RGB image, the colour mode of the file, and the number of its frames; the first is read.

    Raises:
        DataError: The file is damaged, cut short, no image, or no regular file.
    """
    # Of a pipe or a device nobody knows whether it ever ends.
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is no regular file; expected an image such as a .jpg or .png file")
    try:
        return decoded(path)
    except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
        raise DataError(f"{path} is damaged: {error}") from error


def decoded(source: Path | io.BytesIO) -> tuple[Image.Image, str, int]:
    """Return what :func:`open_photograph` returns; a damaged file may raise anything."""
    with Image.open(source, formats=FORMATS) as file, _ALONE if _pixels(file) > LARGE else nullcontext():
        if _pixels(file) > MOST_COPIED and (
            file.mode not in ("L", "RGB", "CMYK", "YCbCr") or file.has_transparency_data
        ):
            raise DataError(
                f"it has {_pixels(file) / 1e6:.0f} megapixels in mode {file.mode}; expected at most "
                f"{MOST_COPIED / 1e6:.0f} of what is transparent or has 16 bits"
            )
        file.load()
        mode, frames = file.mode, getattr(file, "n_frames", 1)
        # Some JPEGs carry small previews as further frames.
        return to_rgb(_upright(file)), mode, 1 if file.format == "MPO" else frames


def _pixels(image: Image.Image) -> int:
    return image.width * image.height


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in RGB: 16 bits are scaled to 8, and what is transparent becomes white.

    Raises:
        DataError: Its pixels are floating-point numbers or have more than 16 bits, of which nobody knows the range.
    """
    if image.mode == "F":
        raise DataError("its pixels are floating-point numbers; expected 8 or 16 bits")
    if image.mode.startswith("I"):
        # PIL clips 16 bits to 8 instead of scaling them.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > DEEPEST:
            raise DataError(f"its pixels reach from {values.min()} to {values.max()}; expected 8 or 16 bits")
        image = Image.fromarray((values.astype(np.float64) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF block says. PIL's own function writes the block anew, which not every block allows."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged block leads PIL's readers to any of them
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def to_square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Return the largest central square of `image` at `size` pixels, ``uint8 (3, size, size)``."""
    return to_shape(image, (size, size))


def to_shape(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the largest central part of `image` that has the shape of `size`, resized, ``uint8 (3, H, W)``."""
    fitted = ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(fitted).transpose(2, 0, 1)


class ReadsPhotographs:
    """For datasets of photographs: reads those of others in the same way."""

    def read_image(self, file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return a photograph as :func:`read_photograph` reads it, cropped and resized to `size`, height and width."""
        return to_shape(read_photograph(file), size)
