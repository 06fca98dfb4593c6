"""How many images are classified correctly, and which."""

from __future__ import annotations

import base64
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from robench.records.limits import MOST_IMAGES, Images
from robench.records.spec import Record


class Score(Record):
    """How many of n images are classified correctly, and which."""

    n: int = Field(gt=0, le=MOST_IMAGES)
    correct: Images
    bits: str = Field(
        max_length=MOST_IMAGES, description="correctness of each image in order, eight images a byte, base64"
    )

    @model_validator(mode="after")
    def _bits_match(self) -> Score:
        if int(self.mask().sum()) != self.correct:
            raise ValueError(f"bits do not add up to correct={self.correct} of n={self.n}")
        return self

    @classmethod
    def of(cls, correct: NDArray[np.bool_], **more: Any) -> Self:
        """Return the score of images whose correctness is `correct`, ``bool (n,)``."""
        bits = base64.b64encode(np.packbits(correct).tobytes()).decode()
        return cls(n=len(correct), correct=int(correct.sum()), bits=bits, **more)

    def mask(self) -> NDArray[np.bool_]:
        """Return the correctness of each image, ``bool (n,)``."""
        packed = np.frombuffer(base64.b64decode(self.bits, validate=True), dtype=np.uint8)
        if len(packed) != -(-self.n // 8):
            raise ValueError(f"{len(packed)} bytes of bits cannot hold n={self.n}")
        if self.n % 8 and packed[-1] & 0xFF >> self.n % 8:
            raise ValueError(f"bits are set beyond n={self.n}")
        return np.unpackbits(packed, count=self.n).astype(bool)

    @property
    def accuracy(self) -> float:
        """The accuracy, in ``[0, 1]``."""
        return self.correct / self.n
