"""Ranges of ranks: against plain tests of all pairs, by their properties, and by simulation under a known truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from robench.statistics.intervals import mean_rate, rate
from robench.statistics.ranks import rank_ranges

from tests.helpers.plain_leaderboard import plain_ranks

Masks = NDArray[np.bool_]
SEEDS = st.integers(0, 2**32 - 1)
MODELS, IMAGES = st.integers(1, 9), st.integers(1, 90)


def drawn(seed: int, models: int, images: int, runs: int = 1) -> tuple[Masks, NDArray[np.int64]]:
    """Runs of methods of any quality that agree on many images, and where each method's runs start."""
    random = np.random.default_rng(seed)
    n_runs = random.integers(1, runs + 1, models)
    right = random.random(images) < np.repeat(random.random(models), n_runs)[:, None]
    right ^= random.random(right.shape) < 0.4 * random.random((len(right), 1)) ** 2  # some stray far from the others
    return right, np.cumsum(n_runs) - n_runs


def figures(right: Masks, starts: NDArray[np.int64]) -> list[float]:
    return [float(method.mean()) for method in np.split(right, starts[1:])]


def plainly(right: Masks, starts: NDArray[np.int64]) -> list[tuple[int, int]]:
    methods = np.split(right, starts[1:])
    return plain_ranks([list(method) for method in methods], [round(each, 12) for each in figures(right, starts)])


def test_ranks_span_what_the_images_cannot_tell_apart() -> None:
    right = [np.arange(1000) < n for n in (900, 895, 700, 699, 100)]
    assert rank_ranges(right) == [(1, 2), (1, 2), (3, 4), (3, 4), (5, 5)]
    assert rank_ranges([right[0]]) == [(1, 1)] and rank_ranges([]) == []


def test_no_method_is_told_apart_from_a_better_one_than_another_that_is_not() -> None:
    images = np.arange(100)
    first, nested, stray = images < 60, images < 50, (images < 20) | (images >= 72)
    assert [int(each.sum()) for each in (first, nested, stray)] == [60, 50, 48]
    # Alone, ten images to none tell the second from the first; but nothing tells the third from it, which is no better.
    assert rank_ranges([first, nested]) == [(1, 1), (2, 2)]
    assert rank_ranges([first, nested, stray]) == [(1, 3)] * 3


@given(SEEDS, MODELS, IMAGES, st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None)
def test_ranks_are_those_of_pair_by_pair_tests(seed: int, models: int, images: int, runs: int) -> None:
    right, starts = drawn(seed, models, images, runs)
    assert rank_ranges(right, starts) == plainly(right, starts)


def test_ranks_of_many_models_do_not_depend_on_how_many_are_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    right, starts = drawn(0, 90, 300)
    whole = rank_ranges(right, starts)
    monkeypatch.setattr("robench.statistics.ranks.BLOCK", 16)
    assert rank_ranges(right, starts) == whole and len(set(whole)) > 3


@given(SEEDS, MODELS, IMAGES, st.sampled_from([1, 3]), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_methods_changes_no_range(
    seed: int, models: int, images: int, runs: int, random: st.Random
) -> None:
    right, starts = drawn(seed, models, images, runs)
    whole, methods = rank_ranges(right, starts), np.split(right, starts[1:])
    order = np.random.default_rng(seed).permutation(models)
    sizes = [len(methods[place]) for place in order]
    mixed = rank_ranges(np.concatenate([methods[place] for place in order]), np.cumsum(sizes) - sizes)
    assert mixed == [whole[place] for place in order]


@given(SEEDS, MODELS, IMAGES, st.sampled_from([1, 3]))
@settings(max_examples=40, deadline=None)
def test_a_better_figure_never_has_a_worse_range_and_equal_figures_share_it(
    seed: int, models: int, images: int, runs: int
) -> None:
    right, starts = drawn(seed, models, images, runs)
    placed = sorted(zip([-each for each in figures(right, starts)], rank_ranges(right, starts), strict=True))
    for (better, above), (worse, below) in pairwise(placed):
        assert above[0] <= below[0] and above[1] <= below[1]
        assert better != worse or above == below
    assert all(1 <= low <= place + 1 <= high <= models for place, (_, (low, high)) in enumerate(placed))


@given(SEEDS, st.integers(2, 9), IMAGES, st.sampled_from([1, 3]))
@settings(max_examples=80, deadline=None)
def test_a_method_with_one_image_more_never_falls(seed: int, models: int, images: int, runs: int) -> None:
    right, starts = drawn(seed, models, images, runs)
    ends = [*starts[1:], len(right)]
    chosen = seed % models
    own = slice(starts[chosen], ends[chosen])
    missed = np.flatnonzero(~right[own].any(axis=0))  # wrong in all its runs, so that their deviation stays
    before = rank_ranges(right, starts)[chosen]
    for image in missed[:3]:
        better = right.copy()
        better[own, image] = True
        after = rank_ranges(better, starts)[chosen]
        assert after[0] <= before[0] and after[1] <= before[1]


@given(SEEDS, MODELS, IMAGES)
@settings(max_examples=40, deadline=None)
def test_a_copy_of_a_method_shares_its_range_and_lifts_nobody(seed: int, models: int, images: int) -> None:
    right, starts = drawn(seed, models, images)
    copied = seed % models
    before = rank_ranges(right)
    *after, copy = rank_ranges([*right, right[copied]])
    assert after[copied] == copy
    shares = figures(right, starts)
    for place in range(models):
        (low, high), (low_now, high_now) = before[place], after[place]
        assert high_now >= high and low_now <= low + (shares[copied] > shares[place])


@pytest.mark.parametrize("runs", [1, 3])
def test_ranges_hold_all_true_ranks_nineteen_times_in_twenty(runs: int) -> None:
    """Methods of known accuracy over images and seeds, two of them equal; every range must hold its true rank."""
    random, covered, narrow, repeats = np.random.default_rng(0), 0, 0, 150
    truth = np.array([0.8, 0.55, 0.55, 0.2, 0.15])
    true_ranks = [(1, 1), (2, 3), (2, 3), (4, 4), (5, 5)]
    starts = np.arange(0, runs * len(truth), runs)
    for _ in range(repeats):
        level = np.repeat(truth, runs)
        level = level + (0.06 * random.standard_normal(level.shape) if runs > 1 else 0)
        hard, noise = random.random(400), random.random((len(level), 400))
        right = np.where(noise < 0.8, hard < level[:, None], noise < 0.8 + 0.2 * level[:, None])
        found = rank_ranges(right, starts)
        # A range holds a true rank if it contains all ranks that ties leave open.
        covered += all(
            low <= first and high >= last for (low, high), (first, last) in zip(found, true_ranks, strict=True)
        )
        narrow += found[0][1] < len(truth)
    assert covered >= 0.95 * repeats and narrow > 0.9 * repeats


def test_the_mean_over_seeds_has_an_interval_over_images_and_seeds() -> None:
    assert mean_rate((50,), 100) == rate(50, 100)
    same, apart = mean_rate((50, 50, 50), 100), mean_rate((40, 50, 60), 100)
    assert (same.low, same.high, same.sd) == (pytest.approx(rate(50, 100).low), pytest.approx(rate(50, 100).high), 0.0)
    assert apart.percent == 50.0 and apart.sd == pytest.approx(10.0)
    assert apart.low < same.low < same.high < apart.high
    assert mean_rate((0, 0), 20).low == 0.0 and mean_rate((20, 20), 20).high == 100.0


def test_intervals_over_images_and_seeds_cover_the_truth_nineteen_times_in_twenty() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(300):
        hard = random.random(200)
        counts = tuple(int((hard < level).sum()) for level in 0.5 + 0.05 * random.standard_normal(3))
        found = mean_rate(counts, 200)
        covered += found.low <= 50.0 <= found.high
    assert covered >= 0.93 * 300
