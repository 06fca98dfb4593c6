"""The dataset `digits`: handwritten digits that come with scikit-learn."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from robench import Field, ImageSet, Params

from robench_plugins.datasets.without_files import WithoutFiles

SIZES = {"train": 1_000, "validation": 200, "test": 597}
"""Of the 1,797 digits, in an order drawn once."""
LOOKS = {
    "zero": "a round ring",
    "one": "a single stripe",
    "two": "a hook on a line",
    "three": "the number 3",
    "four": "lines that cross",
    "five": "a flag above a bowl",
    "six": "a six, a ring with a tail above",
    "seven": "a seven, a flat top and a slanted line",
    "eight": "an eight, two rings one above the other",
    "nine": "a small ring above a line",
}
"""Each digit as it looks, in words that even a small text tower tells apart; see the drawn sets."""


class DigitsParams(Params):
    """At which size digits are attacked."""

    size: int = Field(default=32, ge=8, le=512, description="pixels to which the 8 x 8 images are enlarged, bicubic")


class Digits(WithoutFiles):
    """1,797 handwritten digits of 8 x 8 pixels and 17 grey levels, enlarged before anything attacks them.

    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998
    (CC BY 4.0): the test part, as scikit-learn ships it. All parts here are drawn from that, so the same writer may
    have written digits of several parts.
    """

    Params = DigitsParams
    params: DigitsParams
    called = "digits"
    sizes = SIZES

    @property
    def class_names(self) -> tuple[str, ...]:
        """The digits, as words."""
        return tuple(LOOKS)

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return a description for each digit."""
        return tuple((look,) for look in LOOKS.values())

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split."""
        return _digits()[1][_positions(name)]

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Return the digits at `positions` of a split."""
        grey, labels = _digits()
        chosen, side = _positions(name)[positions], self.params.size
        images = np.empty((len(chosen), 3, side, side), np.uint8)
        for place, at in enumerate(chosen):
            images[place] = np.asarray(Image.fromarray(grey[at]).resize((side, side), Image.Resampling.BICUBIC))
        return ImageSet(images=images, labels=labels[chosen])


def _positions(name: str) -> NDArray[np.int64]:
    # RandomState's streams are frozen for good, so this order is too.
    order = np.random.RandomState(0).permutation(sum(SIZES.values()))
    start = {"train": 0, "validation": SIZES["train"], "test": SIZES["train"] + SIZES["validation"]}[name]
    return order[start : start + SIZES[name]]


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images ``uint8 (1797, 8, 8)`` and labels ``int64 (1797,)``."""
    from sklearn.datasets import load_digits

    found = load_digits()
    # Levels 0 to 16 become 0 to 255.
    grey = np.minimum(np.asarray(found.images, np.int64) * 16, 255).astype(np.uint8)
    return grey, np.asarray(found.target, np.int64)
