"""Decode image files to arrays."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from robench import DataError


def decode(encoded: Iterable[bytes], n: int, what: str) -> NDArray[np.uint8]:
    """Decode `n` images of one size to ``uint8 (n, 3, H, W)``.

    Raises:
        DataError: A file is damaged, or its size differs from the first one's; `what` and its position name it.
    """
    result: NDArray[np.uint8] | None = None
    for position, content in enumerate(encoded):
        try:
            with Image.open(io.BytesIO(content)) as image:
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
            raise DataError(f"{what} {position} is damaged: {error}") from error
        if result is None:
            result = np.empty((n, *pixels.shape), np.uint8)
        if pixels.shape != result.shape[1:]:
            raise DataError(f"{what} {position} has shape {pixels.shape}; the first has {result.shape[1:]}")
        result[position] = pixels
    if result is None:
        raise DataError(f"{what}: there are none")
    return result
