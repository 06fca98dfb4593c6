"""What an epoch draws, and what augmentation makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from robench import ImageSet
from robench.attack.perturbation import seeded
from robench.compute.world import ALONE, World
from robench.images.augmentation import GREY, MOST_HOLES, Recipe, augment, punch
from robench.train.sampler import _Epoch, batches, draw
from torch.utils.data import DataLoader

CPU = torch.device("cpu")
RECIPES: tuple[Recipe, ...] = ("study-cnn", "study-vit")


def leaves(n: int = 12, side: int = 16) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    return ImageSet(images=images, labels=np.arange(n) % 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 30), st.integers(0, 5))
def test_a_balanced_epoch_draws_the_target_of_each_class_and_no_image_much_more_than_another(
    labels: list[int], balance: int, seed: int
) -> None:
    given_labels = np.array(labels)
    with seeded(seed, CPU):
        order = draw(given_labels, balance)
    classes = np.unique(given_labels)
    assert all((given_labels[order] == label).sum() == balance for label in classes)
    for label in classes:
        times = np.bincount(order, minlength=len(labels))[given_labels == label]
        assert times.max() - times.min() <= 1


@given(st.integers(1, 50))
def test_an_epoch_without_a_target_draws_every_image_once(n: int) -> None:
    assert sorted(draw(np.zeros(n, dtype=np.int64), 0)) == list(range(n))


def test_batches_are_the_images_at_the_positions_drawn() -> None:
    train, order = leaves(), np.array([5, 1, 8, 3, 0])
    found = list(batches(train, order, 2, "none", 0, CPU))
    assert [list(indices) for indices, _ in found] == [[1, 5], [3, 8], [0]]
    assert all(np.array_equal(images, train.images[indices]) for indices, images in found)


def test_drawing_batches_leaves_the_random_state_alone() -> None:
    """Dropout takes its numbers from there: how images are prepared must not change what is learned."""
    before = torch.random.get_rng_state()
    list(batches(leaves(), np.arange(12), 4, "study-vit", 7, CPU))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("recipe", RECIPES)
def test_pixels_depend_on_seed_and_image_and_not_on_batches_or_workers(recipe: Recipe) -> None:
    train = leaves()
    whole = augment(train.images, 3 + np.arange(12), recipe)
    in_parts = np.concatenate([images for _, images in batches(train, np.arange(12), 4, recipe, 3, CPU)])
    assert np.array_equal(whole, in_parts)
    shares = [World(size=3, rank=rank).share for rank in range(3)]
    dealt = zip(*(batches(train, np.arange(12), 4, recipe, 3, CPU, 0, share) for share in shares), strict=True)
    assert np.array_equal(whole, np.concatenate([images for parts in dealt for _, images in parts]))
    loader: Any = DataLoader(_Epoch(train, np.arange(12), 4, recipe, 3, ALONE.share), batch_size=None, num_workers=2)
    assert np.array_equal(np.concatenate([images for _, images in loader]), whole)
    assert not np.array_equal(augment(train.images, 4 + np.arange(12), recipe), whole)


@pytest.mark.parametrize("recipe", RECIPES)
def test_augmented_images_keep_shape_and_type_and_differ_from_each_other(recipe: Recipe) -> None:
    image = leaves(1).images
    copies = augment(np.repeat(image, 50, axis=0), np.arange(50), recipe)
    assert copies.shape == (50, 3, 16, 16) and copies.dtype == np.uint8
    assert len({copy.tobytes() for copy in copies}) > 25


def test_the_recipe_none_changes_nothing() -> None:
    assert augment(leaves().images, np.arange(12), "none") is not None
    assert np.array_equal(augment(leaves().images, np.arange(12), "none"), leaves().images)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "expected"), [("study-cnn", 0.3 * 0.6 * 0.6 * 0.5), ("study-vit", 0.0)])
def test_an_image_stays_as_it_is_as_often_as_all_changes_fail(recipe: Recipe, expected: float) -> None:
    """Of the ViT's none does: every one is cropped. A flipped image of these is never its own mirror."""
    image = leaves(1).images
    n = 1500
    copies = augment(np.repeat(image, n, axis=0), np.arange(n), recipe)
    share = np.mean([np.array_equal(copy, image[0]) for copy in copies])
    assert abs(share - expected) < 3 * max(0.01, np.sqrt(expected * (1 - expected) / n))


@given(st.integers(0, 200), st.sampled_from([16, 64, 256]))
def test_holes_are_grey_at_most_eight_and_at_most_a_tenth_of_the_side(seed: int, side: int) -> None:
    image = torch.full((3, side, side), 7, dtype=torch.uint8)
    with seeded(seed, CPU):
        punched = punch(image)
    holes = (punched == GREY).all(dim=0)
    assert torch.equal(punched[:, ~holes], image[:, ~holes]) and bool((image == 7).all())
    largest = max(1, round(25 * side / 256))
    assert 1 <= int(holes.sum()) <= MOST_HOLES * largest**2


def test_holes_lie_everywhere() -> None:
    with seeded(0, CPU):
        hit = torch.stack([punch(torch.zeros(3, 16, 16, dtype=torch.uint8))[0] == GREY for _ in range(400)])
    assert bool(hit.any(dim=0).all())
