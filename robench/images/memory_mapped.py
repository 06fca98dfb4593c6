"""Sets of images larger than memory: arrays on disk, read and written part by part."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError

IN_MEMORY = 2**26
"""Bytes up to which an array is held in memory: 21,845 images of 32 pixels."""
PART = 1024
"""Images of a part."""


def empty_images(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array ``uint8`` to be filled. A large one is mapped to a temporary file, which is removed with it."""
    if np.prod(shape, dtype=np.int64) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(prefix="robench-") as file:  # the map keeps the file open
        return np.memmap(file, np.uint8, "w+", shape=shape)


def gather_images(n: int, parts: Iterable[tuple[NDArray[np.int64], NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Put images that come part by part into one array ``uint8 (n, 3, H, W)``, which is on disk if it is large.

    Args:
        parts: Each the positions of its images in the array, ``int64 (k,)``, and the images, ``uint8 (k, 3, H, W)``.

    Raises:
        DataError: Images differ in size, or there are none.
    """
    gathered: NDArray[np.uint8] | None = None
    for positions, images in parts:
        if gathered is None:
            gathered = empty_images((n, *images.shape[1:]))
        if images.shape[1:] != gathered.shape[1:]:
            raise DataError(f"some images have shape {images.shape[1:]}, others {gathered.shape[1:]}")
        gathered[positions] = images
        let_go(gathered)
    if gathered is None:
        raise DataError("there are no images")
    return gathered


def let_go(*arrays: NDArray[np.uint8]) -> None:
    """Free the memory that holds pages of memory-mapped `arrays`; their content is on disk. Others stay as they are."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        # Not for mode "c", copy on write, which would lose what was written.
        if isinstance(mapped, mmap.mmap) and getattr(array, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def parts_of(*arrays: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], ...]]:
    """Yield the same ``PART`` images of each of `arrays`, part by part, and free each part's memory afterwards."""
    for start in range(0, len(arrays[0]), PART):
        yield tuple(array[start : start + PART] for array in arrays)
        let_go(*arrays)


def save_images(file: BinaryIO, images: NDArray[np.uint8]) -> None:
    """Write `images` as ``numpy.save`` does, part by part."""
    header = {"descr": np.lib.format.dtype_to_descr(images.dtype), "fortran_order": False, "shape": images.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for (part,) in parts_of(images):
        file.write(np.ascontiguousarray(part).data)
