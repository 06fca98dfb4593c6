"""Averages over data sets and their intervals: against Wilson, against a bootstrap, and the harmonic mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from robench.statistics.intervals import rate
from robench.suite.averages import Masks, average, harmonic_mean, mean_over_seeds

SHARES = st.floats(0.1, 0.9)


def mask(right: int, n: int) -> NDArray[np.bool_]:
    return np.arange(n) < right


def crossed(shares: list[float], n: int, seeds: int, random: np.random.Generator) -> list[Masks]:
    """Return masks of several data sets, in which some images are hard for all seeds and some seeds are better."""
    quality = random.normal(0, 0.4, seeds)
    sets = []
    for share in shares:
        ease = random.normal(0, 1.5, n)
        chance = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + ease[None] + quality[:, None])))
        sets.append(dict(enumerate(random.random((seeds, n)) < chance)))
    return sets


def test_one_data_set_and_one_seed_have_wilsons_interval() -> None:
    for right, n in ((0, 50), (37, 50), (200, 200), (1, 1000)):
        found, expected = mean_over_seeds({0: mask(right, n)}), rate(right, n)
        assert (found.percent, found.low, found.high) == pytest.approx((expected.percent, expected.low, expected.high))


def test_images_that_count_in_part_tell_more_than_right_or_wrong_but_never_all() -> None:
    # A share of 1/3 or 2/3 varies a ninth as much as a right or wrong of the same mean.
    shares = np.where(mask(20, 40), 2 / 3, 1 / 3)
    found, expected = mean_over_seeds({0: shares}), rate(180, 360)
    assert (found.percent, found.low, found.high) == pytest.approx((expected.percent, expected.low, expected.high))
    alike, expected = mean_over_seeds({0: np.full(30, 2 / 3)}), rate(20, 30)  # 2/3 is rounded, so the mean may differ
    assert (alike.percent, alike.low, alike.high) == pytest.approx((expected.percent, expected.low, expected.high))


def test_every_data_set_counts_once_whatever_its_size() -> None:
    found = average([{0: mask(90, 100)}, {0: mask(100, 1000)}])
    assert found is not None and found.percent == pytest.approx(50)
    assert found.low < 50 < found.high


def test_only_seeds_of_all_data_sets_count() -> None:
    both = {0: mask(10, 20), 1: mask(14, 20)}
    found = average([both, {1: mask(6, 20)}])
    assert found is not None and found.seeds == (1,) and found.percent == pytest.approx(50)
    assert average([{0: mask(1, 2)}, {1: mask(1, 2)}]) is None


def test_seeds_that_differ_widen_the_interval_and_the_same_seed_twice_does_not() -> None:
    one = average([{0: mask(50, 100)}])
    same = average([{0: mask(50, 100), 1: mask(50, 100), 2: mask(50, 100)}])
    other = average([{0: mask(40, 100), 1: mask(50, 100), 2: mask(60, 100)}])
    assert one is not None and same is not None and other is not None
    assert (same.low, same.high) == pytest.approx((one.low, one.high))
    assert other.high - other.low > 2 * (one.high - one.low)


@settings(max_examples=12, deadline=None)
@given(shares=st.lists(SHARES, min_size=1, max_size=6), n=st.integers(60, 300), seed=st.integers(0, 99))
def test_the_interval_over_images_is_that_of_a_bootstrap(shares: list[float], n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sets: list[Masks] = [{0: random.random(n) < share} for share in shares]
    found = average(sets)
    assert found is not None
    means = [each[0].mean() for each in sets]
    drawn = np.mean([random.binomial(n, mean, 4000) / n for mean in means], axis=0)
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    assert 0.85 < (found.high - found.low) / max(high - low, 1e-9) < 1.25 or high == low
    # Wilson's interval reaches a little further towards the middle.
    assert abs(found.low - low) < 0.3 * (high - low) + 200 / n and abs(found.high - high) < 0.3 * (high - low) + 200 / n


@settings(max_examples=6, deadline=None)
@given(shares=st.lists(SHARES, min_size=2, max_size=4), seed=st.integers(0, 99))
def test_the_interval_over_images_and_seeds_covers_a_bootstrap_of_both(shares: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    n, seeds = 80, 24
    sets = crossed(shares, n, seeds, random)
    found = average(sets)
    assert found is not None and found.seeds == tuple(range(seeds))
    tables = [np.stack([each[number] for number in range(seeds)]).astype(float) for each in sets]
    drawn = []
    for _ in range(400):
        chosen = np.bincount(random.integers(0, seeds, seeds), minlength=seeds) / seeds
        images = [np.bincount(random.integers(0, n, n), minlength=n) / n for _ in sets]
        drawn.append(100 * np.mean([chosen @ table @ weight for table, weight in zip(tables, images, strict=True)]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert 0.85 < (found.high - found.low) / (high - low) < 1.4


@pytest.mark.parametrize("right", [0, 40])
def test_an_interval_at_the_end_of_the_scale_is_not_empty(right: int) -> None:
    found = average([{0: mask(right, 40)}] * 3)
    assert found is not None and found.percent == 100 * right / 40
    assert 0 <= found.low < found.high <= 100


def test_the_harmonic_mean_is_that_of_the_averages() -> None:
    # CoCoOp's table 1: base 82.69 and new 63.22 have H 71.66.
    base: list[Masks] = [{0: mask(8269, 10_000)}]
    new: list[Masks] = [{0: mask(5322, 10_000)}, {0: mask(7322, 10_000)}]
    found = harmonic_mean(base, new)
    assert found is not None and round(found.percent, 2) == 71.66
    assert found.low < found.percent < found.high
    assert harmonic_mean([{0: mask(0, 9)}], [{0: mask(0, 9)}]) is not None
    assert harmonic_mean([{0: mask(1, 9)}], [{1: mask(1, 9)}]) is None


@settings(max_examples=8, deadline=None)
@given(base=SHARES, new=SHARES, seed=st.integers(0, 99))
def test_the_interval_of_the_harmonic_mean_is_that_of_a_bootstrap(base: float, new: float, seed: int) -> None:
    random, n = np.random.default_rng(seed), 300
    first, second = ({0: random.random(n) < share} for share in (base, new))
    found = harmonic_mean([first], [second])
    assert found is not None
    a, b = (random.binomial(n, each[0].mean(), 4000) / n for each in (first, second))
    low, high = 100 * np.quantile(2 * a * b / (a + b), [0.025, 0.975])
    assert 0.8 < (found.high - found.low) / (high - low) < 1.25
