"""Random numbers that are computed from a key, without a state: the same key always gives the same number.

numpy's generators may change their streams with its version. These use integer arithmetic and exactly rounded
conversions, so they do not depend on the batch, on numpy's version or on the processor.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.floating]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix64(values: Keys) -> Keys:
    """Scramble 64-bit keys.

    Source: SplitMix64 finaliser, Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def mix32(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Scramble 32-bit keys in place (two rounds of xorshift and multiply) and return them."""
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        values ^= values >> np.uint32(shift)
        values *= np.uint32(factor)
    values ^= values >> np.uint32(15)
    return values


class Stream:
    """One independent stream of named draws for each image index of a split."""

    def __init__(self, seed: int, split: str, indices: NDArray[np.int64]) -> None:
        digest = hashlib.sha256(f"leaf-synth:{seed}:{split}".encode()).digest()
        root = np.uint64(int.from_bytes(digest[:8], "little"))
        self.keys: Keys = mix64(mix64(indices.astype(np.uint64) * _GOLDEN + root) + root)

    def bits(self, name: str, size: int = 1) -> Keys:
        """Draw 64 random bits for each image: uint64, (n, size)."""
        digest = hashlib.sha256(name.encode()).digest()
        slot = np.uint64(int.from_bytes(digest[:8], "little"))
        counters = slot + np.arange(size, dtype=np.uint64) * _GOLDEN
        return mix64(mix64(self.keys[:, None] ^ slot) + counters)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Floats:
        """Draw one number in [low, high) for each image: float32, (n,)."""
        return self.uniforms(name, 1, low, high)[:, 0]

    def uniforms(self, name: str, size: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Draw `size` numbers in [low, high) for each image: float32, (n, size)."""
        unit = (self.bits(name, size) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return np.float32(low) + unit * np.float32(high - low)

    def choice(self, name: str, count: int) -> NDArray[np.int64]:
        """Draw one of `count` equally likely integers for each image: int64, (n,)."""
        return (self.uniform(name) * np.float32(count)).astype(np.int64)
