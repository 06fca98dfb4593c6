"""The drawn leaves: the same bytes for everybody, balanced, and described without naming a disease."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from robench import DataError, SpecError

from robench_plugins.datasets.leaf_synth import LeafSynth
from robench_plugins.datasets.leaf_synth.render import render

SPLITS = ("train", "validation", "test")


def leaves(**params: object) -> LeafSynth:
    return LeafSynth(LeafSynth.Params.read(params, "leaf-synth"))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 5), split=st.sampled_from(SPLITS), start=st.integers(0, 49_000), n=st.integers(1, 8))
def test_a_leaf_is_the_same_in_whatever_batch_it_is_drawn(seed: int, split: str, start: int, n: int) -> None:
    indices = np.arange(start, start + n)
    together = render(seed, split, indices, 32)
    for index, image in zip(indices, together, strict=True):
        assert np.array_equal(render(seed, split, np.array([index]), 32)[0], image)
    assert np.array_equal(render(seed, split, indices[::-1], 32), together[::-1])


@pytest.mark.parametrize("name", SPLITS)
def test_a_limit_takes_a_prefix(name: str) -> None:
    assert leaves().split(name, 7).fingerprint() == leaves().split(name, 30).first(7).fingerprint()


def test_no_leaf_is_drawn_twice_in_or_between_splits_and_seeds() -> None:
    sets = [leaves(data_seed=seed).split(name, 40) for seed in (0, 1) for name in SPLITS]
    assert len({image.tobytes() for data in sets for image in data.images}) == 6 * 40


@pytest.mark.parametrize("n", [10, 50, 200])
def test_prefixes_are_balanced(n: int) -> None:
    assert np.bincount(leaves().split("train", n).labels, minlength=10).tolist() == [n // 10] * 10


def test_any_prefix_is_balanced_to_one_leaf() -> None:
    counts = np.bincount(leaves().split("test", 47).labels, minlength=10)
    assert counts.max() - counts.min() == 1


@pytest.mark.parametrize("size", [16, 32, 48])
def test_leaves_are_8_bit_colour_images_of_the_size_asked_for(size: int) -> None:
    data = leaves(size=size).split("test", 10)
    assert data.images.shape == (10, 3, size, size)
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == np.int64
    data.check_labels(10)


def test_every_leaf_uses_a_good_part_of_the_range_of_values() -> None:
    images = leaves().split("train", 100).images.reshape(100, -1).astype(float)
    assert (images.std(axis=1) > 8).all()
    assert ((images == 0) | (images == 255)).mean() < 0.02


def halved(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    n, channels, height, width = images.shape
    return images.reshape(n, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))


def test_another_size_draws_the_same_scenes() -> None:
    small, large = (leaves(size=size).split("test", 20).images for size in (32, 64))
    correlations = [
        [np.corrcoef(one.ravel(), other.ravel())[0, 1] for other in halved(large)] for one in small.astype(float)
    ]
    assert np.diag(correlations).min() > 0.9
    assert (np.argmax(correlations, axis=1) == np.arange(20)).all()


def test_healthy_leaves_are_greener_than_leaves_with_yellow_margins() -> None:
    data = leaves().split("train", 1000)
    names = leaves().class_names

    def greenness(name: str) -> float:
        red, green, _ = data.images[data.labels == names.index(name)].astype(float).mean(axis=(0, 2, 3))
        return green / red

    assert greenness("healthy") > 1.02 * greenness("YellowLeaf_Curl_Virus")


def test_there_are_ten_classes_each_with_prompts_of_its_own() -> None:
    dataset = leaves()
    prompts = [prompt for group in dataset.prompts() for prompt in group]
    assert len(dataset.class_names) == len(set(dataset.class_names)) == len(dataset.prompts()) == 10
    assert len(prompts) == len(set(prompts))


def test_no_prompt_names_a_disease() -> None:
    names = {word for name in leaves().class_names for word in re.split("[^a-z]+", name.lower())}
    names |= {"blight", "septoria", "bacteria", "bacterial", "mite", "mites", "virus", "mold", "mould", "disease"}
    # Words that say what is visible, whatever the conditions are called.
    names -= {"spot", "leaf", "target", "yellow", "yellowleaf", "curl", "two", "spotted", "mosaic", ""}
    prompts = " ".join(prompt for group in leaves().prompts() for prompt in group)
    words = set(re.findall("[a-z]+", prompts.lower()))
    assert not words & names


@pytest.mark.parametrize("name", SPLITS)
def test_a_limit_above_the_split_is_refused_with_its_size(name: str) -> None:
    with pytest.raises(DataError, match=f"leaf-synth has {LeafSynth.sizes[name]:,} {name} images"):
        leaves().split(name, LeafSynth.sizes[name] + 1)


@pytest.mark.parametrize("params", [{"size": 8}, {"size": 1024}, {"size": "big"}, {"data_seed": -1}])
def test_parameters_out_of_range_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(params))):
        leaves(**params)
