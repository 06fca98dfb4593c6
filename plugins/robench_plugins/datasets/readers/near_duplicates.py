"""Find near-duplicates, such as photographs of the same leaf, by their perceptual hashes."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16
BITS = HASH_SIDE**2
_CHUNK = 2**22
"""Pairs of images compared at a time."""


def perceptual_hash(image: Image.Image) -> NDArray[np.uint8]:
    """Return the 256 bits of an image, packed, ``uint8 (32,)``: the signs of its coarse cosine frequencies.

    Source: pHash as implemented by imagehash, with a side of 16 instead of 8: 64 bits do not tell leaves apart.
    """
    packed: NDArray[np.uint8] = np.packbits(imagehash.phash(image, hash_size=HASH_SIDE).hash.ravel())
    return packed


def near_duplicates(hashes: NDArray[np.uint8], largest_distance: int) -> NDArray[np.int64]:
    """Return a group number for each image, ``int64 (N,)``: images in one group are linked by near-duplicates.

    Args:
        hashes: Of :func:`perceptual_hash`, ``uint8 (N, 32)``.
        largest_distance: Bits in which near-duplicates may differ.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    rows, columns = [], []
    chunk = max(1, _CHUNK // max(1, len(words)))
    for start in range(0, len(words), chunk):
        distance = np.zeros((len(words[start : start + chunk]), len(words)), np.int16)
        for word in words.T:  # one at a time, for less memory
            distance += np.bitwise_count(word[start : start + chunk, None] ^ word[None])
        row, column = np.nonzero(distance <= largest_distance)
        rows.append(row + start)
        columns.append(column)
    links = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(len(words), len(words)))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups
