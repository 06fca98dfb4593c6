"""How many queries each image withstood, as compact text in a record, and accuracy against queries."""

from __future__ import annotations

import base64
import zlib
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from robench.records.limits import MOST_IMAGES, MOST_NUMBER
from robench.records.spec import Record

MOST_QUERIES = 2**31 - 1
"""Most queries for an image."""
NEVER = 2**32 - 1
"""Stands for an image that withstood, in 32 bits."""


class QueryCounts(Record):
    """What an attack asked that may only ask, and after how many queries each image fell."""

    budget: int | None = Field(
        gt=0, le=MOST_QUERIES, description="most queries for each image, which robench enforces; null for no limit"
    )
    asked: int = Field(ge=0, le=MOST_NUMBER, description="queries about all images together")
    most: int = Field(ge=0, le=MOST_QUERIES, description="queries about the image that was asked about most")
    fell: str = Field(
        max_length=8 * MOST_IMAGES,
        description="the query at which each image first was misclassified within the ball, 0 if it was clean, "
        "4294967295 if it never was: 32-bit little-endian, deflated, base64",
    )

    @model_validator(mode="after")
    def _within_budget(self) -> Self:
        if self.budget is not None and self.most > self.budget:
            raise ValueError(f"{self.most} queries were asked about an image, more than the budget of {self.budget}")
        return self

    @classmethod
    def of(cls, asked: NDArray[np.int64], fell: NDArray[np.int64], budget: int | None) -> Self:
        """Return the counts of images about which so much was `asked`, ``int64 (n,)``; which never `fell` have -1."""
        packed = zlib.compress(np.where(fell < 0, NEVER, fell).astype("<u4").tobytes(), 9)
        return cls(budget=budget, asked=int(asked.sum()), most=int(asked.max()), fell=base64.b64encode(packed).decode())

    def numbers(self, n: int) -> NDArray[np.int64]:
        """Return the query at which each of `n` images fell, ``int64 (n,)``; -1 if it never did.

        Raises:
            ValueError: The text is damaged, holds more or fewer images, or an image fell after the last query.
        """
        try:
            # At most one byte too many, so that a forged record cannot fill the memory.
            unpacked = zlib.decompressobj().decompress(base64.b64decode(self.fell, validate=True), 4 * n + 1)
        except (zlib.error, OverflowError) as error:
            raise ValueError(f"queries cannot be unpacked: {error}") from None
        if len(unpacked) != 4 * n:
            raise ValueError(f"{len(unpacked)} bytes of queries for {n} images")
        found = np.frombuffer(unpacked, dtype="<u4").astype(np.int64)
        found[found == NEVER] = -1
        if (found > self.most).any():
            raise ValueError(f"an image fell at query {found.max()}, but {self.most} were asked at most")
        return found

    def curve(self, n: int) -> list[tuple[int, int]]:
        """Return accuracy against queries: from which query on how many of `n` images are right, in rising order.

        It begins at 0 queries, where clean accuracy is, and ends with the budget, or without one with the most queries
        that were asked.
        """
        numbers = self.numbers(n)
        at, fallen = np.unique(numbers[numbers > 0], return_counts=True)
        begin = n - int((numbers == 0).sum())
        points = [(0, begin), *zip(at.tolist(), (begin - fallen.cumsum()).tolist(), strict=True)]
        end = self.most if self.budget is None else self.budget
        return points if points[-1][0] == end else [*points, (end, points[-1][1])]

    def right_at(self, queries: list[int], n: int) -> list[int]:
        """Return how many of `n` images are right after each number of `queries`."""
        numbers = self.numbers(n)
        return [n - int(((numbers >= 0) & (numbers <= each)).sum()) for each in queries]


def told(most: int) -> list[int]:
    """Return the numbers of queries at which readers state accuracy: 1, 10, 100 and so on, and `most`."""
    powers = [10**power for power in range(10) if 10**power < most]
    return [*powers, most] if most else []
