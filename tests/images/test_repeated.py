"""Images of one set that are also in another, found by their pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from robench import ImageSet
from robench.images.image_set import repeated
from robench.run.data import leak


def images(numbers: list[int]) -> ImageSet:
    pixels = np.stack([np.random.RandomState(n).randint(0, 256, (3, 4, 4), dtype=np.uint8) for n in numbers])
    return ImageSet(images=pixels, labels=np.zeros(len(numbers), np.int64))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_repeated_images_are_those_whose_pixels_are_equal(here: list[int], there: list[int]) -> None:
    found = repeated(images(here), images(there)).tolist()
    assert found == [[at, there.index(n)] for at, n in enumerate(here) if n in there]


def test_a_leak_is_counted_and_named() -> None:
    assert leak(images([1, 2, 3]), images([4, 5]), "test") is None
    told = leak(images([1, 2, 3]), images([9, 3, 1]), "test")
    assert told and told.startswith("2 of 3 test images") and "test image 1 is training image 2" in told
