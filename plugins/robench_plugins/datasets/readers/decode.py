"""Decode encoded images of one size, such as PNG or JPEG files, to one array."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.photographs import decoded


def decode(encoded: Iterable[bytes], positions: Sequence[int] | NDArray[np.int64], what: str) -> NDArray[np.uint8]:
    """Decode images of one size to ``uint8 (n, 3, H, W)``.

    Args:
        positions: By which messages call the images.

    Raises:
        DataError: A file is damaged, or its size differs from the first one's; `what` and its position name it.
    """
    result: NDArray[np.uint8] | None = None
    for index, (position, content) in enumerate(zip(positions, encoded, strict=True)):
        try:
            pixels = np.asarray(decoded(io.BytesIO(content))[0]).transpose(2, 0, 1)
        except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
            raise DataError(f"{what} {position} is damaged: {error}") from error
        if result is None:
            result = np.empty((len(positions), *pixels.shape), np.uint8)
        if pixels.shape != result.shape[1:]:
            raise DataError(f"{what} {position} has shape {pixels.shape}; the first has {result.shape[1:]}")
        result[index] = pixels
    if result is None:
        raise DataError(f"{what}: there are none")
    return result
