"""Drawn shapes, textures and counts, and scikit-learn's digits: the same for everybody, balanced, no image twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import DataError
from robench.registry.registry import discover
from sklearn.linear_model import LogisticRegression

DRAWN = ["shapes", "textures", "counts"]
SETS = [*DRAWN, "digits"]
SPLITS = ("train", "validation", "test")


def dataset(text: str) -> Any:
    return discover().resolve("dataset", text).build()


@settings(max_examples=8, deadline=None)
@given(name=st.sampled_from(SETS), split=st.sampled_from(SPLITS), start=st.integers(0, 150), n=st.integers(1, 6))
def test_an_image_is_the_same_in_whatever_batch_it_is_drawn(name: str, split: str, start: int, n: int) -> None:
    made, positions = dataset(name), np.arange(start, start + n)
    together, backwards = made.take(split, positions), made.take(split, positions[::-1])
    assert np.array_equal(together.images, backwards.images[::-1])
    assert np.array_equal(together.images, made.split(split, start + n).images[start:])
    assert np.array_equal(together.labels, made.labels(split)[positions])


@pytest.mark.parametrize("name", SETS)
def test_no_image_is_in_two_splits_and_another_seed_draws_others(name: str) -> None:
    made = [dataset(name)] if name == "digits" else [dataset(name), dataset(f"{name}:data_seed=1")]
    found = [image.tobytes() for each in made for split in SPLITS for image in each.split(split, 100).images]
    assert len(set(found)) == len(found) == len(made) * 300


@pytest.mark.parametrize("name", DRAWN)
def test_prefixes_are_balanced_and_sizes_are_those_asked_for(name: str) -> None:
    made = dataset(f"{name}:size=24")
    data = made.split("train", 50)
    counts = np.bincount(data.labels, minlength=len(made.class_names))
    assert counts.max() - counts.min() <= 1
    assert data.images.shape == (50, 3, 24, 24) and data.images.dtype == np.uint8
    with pytest.raises(DataError, match=f"{name} has 1,000 test images; 1,001 were asked for"):
        made.split("test", 1001)


def test_counts_are_told_by_how_much_is_covered_and_by_nothing_else() -> None:
    """The share of pixels that stand out grows with the number of discs."""
    data = dataset("counts").split("train", 300)
    grey = data.images.astype(float).mean(axis=1)
    ground = np.median(grey, axis=(1, 2), keepdims=True)
    covered = (np.abs(grey - ground) > 30).mean(axis=(1, 2))
    means = [covered[data.labels == label].mean() for label in range(6)]
    assert means == sorted(means) and means[-1] > 2 * means[0]


def test_digits_are_scikit_learns_and_can_be_read() -> None:
    made = dataset("digits:size=8")
    train, test = made.split("train"), made.split("test")
    assert (len(train), made.size("validation"), len(test)) == (1000, 200, 597)
    flat = [each.images[:, 0].reshape(len(each), -1) / 255 for each in (train, test)]
    assert LogisticRegression(max_iter=200).fit(flat[0], train.labels).score(flat[1], test.labels) > 0.93


def test_patterns_differ_between_classes_more_than_within() -> None:
    for name in ("shapes", "textures"):
        data = dataset(name).split("train", 400)
        light = data.images.astype(float).mean(axis=1).reshape(len(data), -1)
        spectrum = np.abs(np.fft.fft2((light - light.mean(axis=1, keepdims=True)).reshape(-1, 32, 32)))[:, :, :17]
        seen = spectrum.reshape(len(data), -1) / spectrum.sum(axis=(1, 2))[:, None]
        model = LogisticRegression(C=1e4, max_iter=300).fit(seen[:300], data.labels[:300])
        assert model.score(seen[300:], data.labels[300:]) > 0.4, name
