"""Intervals and paired tests, against published examples, closed forms and simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robench.records.record import Score
from robench.statistics.intervals import by_class, mean_interval, success, wilson, wilson_interval
from robench.statistics.paired import holm, paired
from robench.statistics.ranks import p_values
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score


def masks(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two models that are right together, alone or not at all on so many images."""
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    other = np.repeat([True, False, True, False], [both, first, second, neither])
    return one, other


def test_mcnemar_is_that_of_the_textbook() -> None:
    """Agresti, Categorical data analysis (2002), table 10.1: approval at two times; here with continuity correction."""
    found = paired(*masks(794, 150, 86, 570))
    statistic = (abs(150 - 86) - 1) ** 2 / (150 + 86)
    assert statistic == pytest.approx(16.818, abs=1e-3)
    assert found.p == pytest.approx(4.115e-05, rel=1e-3)
    assert found.difference == pytest.approx(100 * (86 - 150) / 1600)
    # The textbook's interval of the difference, from the normal approximation: 4 points, 2.1 to 5.9.
    assert (found.low, found.high) == (pytest.approx(-5.9, abs=0.2), pytest.approx(-2.1, abs=0.2))


@settings(max_examples=25)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30))
def test_mcnemar_of_few_disagreements_is_the_exact_sign_test(first: int, second: int, both: int) -> None:
    found = paired(*masks(both, first, second, 1))
    n, fewer = first + second, min(first, second)
    tail = sum(comb(n, k) for k in range(fewer + 1)) / 2**n
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    assert (found.both, found.only_first, found.only_second, found.neither, found.n) == (
        both,
        first,
        second,
        1,
        both + n + 1,
    )


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_swapping_the_models_turns_the_difference_around(both: int, first: int, second: int, neither: int) -> None:
    one, other = paired(*masks(both, first, second, neither)), paired(*masks(both, second, first, neither))
    assert one.difference == pytest.approx(-other.difference) and one.p == pytest.approx(other.p)
    assert one.low - 1e-9 <= one.difference <= one.high + 1e-9
    assert one.low == one.high == 0 or first + second


def test_the_bootstrap_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(100):
        draws = random.choice(4, size=300, p=[0.6, 0.15, 0.1, 0.15])
        found = paired((draws == 0) | (draws == 1), (draws == 0) | (draws == 2))
        covered += found.low <= -5.0 <= found.high
    assert 87 <= covered <= 100


def test_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == [] and holm([0.7]).tolist() == [0.7]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_value_and_never_exceeds_bonferroni(values: list[float]) -> None:
    for raw, adjusted in zip(values, holm(values), strict=True):
        assert raw - 1e-12 <= adjusted <= min(1.0, raw * len(values)) + 1e-12


def test_success_is_counted_over_images_that_are_right_clean_and_attacked() -> None:
    clean, attacked = Score.of(np.arange(100) % 2 == 0), Score.of(np.arange(40) % 4 == 0)
    found = success(clean, attacked)
    assert found is not None and (found.n, found.percent) == (20, 50.0)
    assert success(Score.of(np.zeros(5, dtype=bool)), Score.of(np.zeros(5, dtype=bool))) is None


def test_macro_and_worst_class_count_every_class_the_same() -> None:
    """As scikit-learn's balanced accuracy; classes without images, and images that were not attacked, do not count."""
    labels = np.array([0] * 6 + [1] * 3 + [3])
    right = np.array([True] * 6 + [True, False, False] + [False])
    found = by_class(right[:9], labels, ("a", "b", "c", "d"))
    assert found.macro == pytest.approx(100 * balanced_accuracy_score(labels[:9], np.where(right, labels, 2)[:9]))
    assert (found.lowest_name, found.lowest.n) == ("b", 3) and found.lowest.percent == pytest.approx(100 / 3)
    assert by_class(right, labels, ("a", "b", "c", "d")).lowest_name == "d"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=20))
def test_many_tests_at_once_are_the_same_tests(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    one_by_one = [binomtest(min(a, b), a + b).pvalue if a + b else 1.0 for a, b in pairs]
    assert p_values(np.minimum(first, second), first + second) == pytest.approx(one_by_one, rel=1e-9)


def test_the_interval_of_a_mean_is_that_of_the_sleep_data() -> None:
    """Student, "The probable error of a mean" (1908): hours of sleep gained; the interval as in R's ``?sleep``."""
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert mean_interval(gained) == (pytest.approx(0.7001142), pytest.approx(2.4598858))
    assert mean_interval([65.0, 65.0]) == (65.0, 65.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_mean_accuracy_is_that_of_one_run_of_it(counts: tuple[int, int]) -> None:
    correct, n = counts
    rate = wilson(Score.of(np.arange(n) < correct))
    low, high = wilson_interval(rate.percent, n)
    assert (low, high) == (pytest.approx(rate.low, abs=1e-9), pytest.approx(rate.high, abs=1e-9))
