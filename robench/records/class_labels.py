"""The labels of images as compact text in a record."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray


def pack_labels(labels: NDArray[np.int64]) -> str:
    """Return `labels` ``int64 (n,)`` as text: 16-bit little-endian, deflated, base64."""
    return base64.b64encode(zlib.compress(labels.astype("<u2").tobytes(), 9)).decode()


def unpack_labels(text: str, n: int) -> NDArray[np.int64]:
    """Return the `n` labels ``int64 (n,)`` of :func:`pack_labels`.

    Raises:
        ValueError: `text` is damaged, or holds more or fewer labels.
    """
    try:
        # At most one byte too many, so that a forged record cannot fill the memory.
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), 2 * n + 1)
    except (zlib.error, OverflowError) as error:
        raise ValueError(f"labels cannot be unpacked: {error}") from None
    if len(unpacked) != 2 * n:
        raise ValueError(f"{len(unpacked)} bytes of labels for {n} images")
    return np.frombuffer(unpacked, dtype="<u2").astype(np.int64)
