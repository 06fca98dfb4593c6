"""How sure a network was of each answer, as compact text in a record."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from robench.records.score import Score

MOST_KEPT = 10_000
"""Images of a score, the first ones, of which confidences are kept: at most some 80 KB of text."""
BYTES = 6
"""Of an image, before they are deflated."""
LARGEST = 60_000.0
"""Largest negative log-likelihood that is kept, in nats; 16 bits hold no larger one."""
CLOSE = 2e-3
"""How far rounding to 16 bits may move a probability."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Confidences:
    """How sure a network was of its answers, image by image.

    Attributes:
        right: Whether the answer is the label, ``bool (n,)``.
        confidence: The probability of the answer, the softmax of the logits, ``float64 (n,)``.
        nll: The negative log-likelihood of the label, in nats.
        brier: The sum over classes of the squared difference of probability and truth, in ``[0, 2]``.
    """

    right: NDArray[np.bool_]
    confidence: Values
    nll: Values
    brier: Values

    def __len__(self) -> int:
        return len(self.right)

    def first(self, n: int) -> Confidences:
        """Return those of the first `n` images."""
        return Confidences(right=self.right[:n], confidence=self.confidence[:n], nll=self.nll[:n], brier=self.brier[:n])


def pack_confidences(confidence: NDArray[np.floating], nll: NDArray[np.floating], brier: NDArray[np.floating]) -> str:
    """Return the figures of the first ``MOST_KEPT`` images as text.

    One after the other, 16-bit little-endian, deflated, base64: confidences as shares of 65,535, negative
    log-likelihoods as floats, Brier scores as shares of 2 in 65,535 steps.
    """
    parts = (
        np.rint(np.clip(confidence[:MOST_KEPT], 0, 1) * 65535.0).astype("<u2"),
        np.clip(nll[:MOST_KEPT], 0, LARGEST).astype("<f2"),
        np.rint(np.clip(brier[:MOST_KEPT], 0, 2) * 32767.5).astype("<u2"),
    )
    return base64.b64encode(zlib.compress(b"".join(part.tobytes() for part in parts), 9)).decode()


def unpack_confidences(text: str, right: NDArray[np.bool_]) -> Confidences:
    """Return what :func:`pack_confidences` packed of images of which `right` says whether the answers are right.

    Raises:
        ValueError: `text` is damaged, holds more or fewer images, or contradicts `right`.
    """
    n = min(len(right), MOST_KEPT)
    try:
        # At most one byte too many, so that a forged record cannot fill the memory.
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), BYTES * n + 1)
    except (zlib.error, OverflowError) as error:
        raise ValueError(f"confidences cannot be unpacked: {error}") from None
    if len(unpacked) != BYTES * n:
        raise ValueError(f"{len(unpacked)} bytes of confidences for {n} images")
    found = Confidences(
        right=right[:n],
        confidence=np.frombuffer(unpacked, "<u2", n) / 65535.0,
        nll=np.frombuffer(unpacked, "<f2", n, 2 * n).astype(np.float64),
        brier=np.frombuffer(unpacked, "<u2", n, 4 * n) / 32767.5,
    )
    if not (np.isfinite(found.nll).all() and (found.nll >= 0).all()):
        raise ValueError("a negative log-likelihood is negative or no number")
    if (np.abs(np.exp(-found.nll) - found.confidence)[found.right] > CLOSE).any():
        raise ValueError("the confidence in a right answer is not the probability of the label")
    return found


class AnsweredScore(Score):
    """A score, with how sure the network was of each answer."""

    confidences: str | None = Field(
        default=None,
        max_length=2 * BYTES * MOST_KEPT,
        description=f"of the first {MOST_KEPT:,} images, 16-bit little-endian, deflated, base64: probabilities of the "
        "answers, negative log-likelihoods and Brier scores; null in older records",
    )

    @model_validator(mode="after")
    def _confidences_fit(self) -> AnsweredScore:
        self.sureness()
        return self

    def sureness(self) -> Confidences | None:
        """Return how sure the network was; None in older records, which do not keep it."""
        return None if self.confidences is None else unpack_confidences(self.confidences, self.mask())
