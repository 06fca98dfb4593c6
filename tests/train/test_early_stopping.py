"""Judging epochs: the best one, the falling rate and the early stop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from robench import PluginError
from robench.train.early_stopping import FLAT_EPOCHS, LOWEST_RATE, EpochMonitor


def losses(*values: float) -> list[dict[str, float]]:
    return [{"validation_loss": value, "validation_clean": 0.5} for value in values]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_best_epoch_is_the_first_of_the_lowest_loss(values: list[int]) -> None:
    watch = EpochMonitor("loss")
    best = [epoch for epoch, scores in enumerate(losses(*values)) if watch.see(scores)][-1]
    assert best == values.index(min(values))
    assert watch.epochs_since_best == len(values) - 1 - best


def test_accuracy_is_that_of_adversarial_images_where_there_are_any() -> None:
    watch = EpochMonitor("accuracy")
    rows = [(0.9, 0.2), (0.8, 0.3), (0.95, 0.25)]
    seen = [watch.see({"validation_clean": clean, "validation_adversarial": attacked}) for clean, attacked in rows]
    assert seen == [True, True, False]
    plain = EpochMonitor("accuracy")
    assert [plain.see({"validation_clean": clean}) for clean, _ in rows] == [True, False, True]


def test_the_rate_is_halved_after_five_flat_epochs_and_again_after_five_more() -> None:
    watch, factors = EpochMonitor("loss"), []
    for scores in losses(1.0, *[1.0] * (2 * FLAT_EPOCHS)):
        watch.see(scores)
        watch.lower(1e-3)
        factors.append(watch.factor)
    assert factors == [1.0] * FLAT_EPOCHS + [0.5] * FLAT_EPOCHS + [0.25]


def test_a_better_epoch_starts_the_count_anew() -> None:
    watch = EpochMonitor("loss")
    for scores in losses(1.0, *[1.0] * (FLAT_EPOCHS - 1), 0.9, *[0.9] * (FLAT_EPOCHS - 1)):
        watch.see(scores)
        watch.lower(1e-3)
    assert watch.factor == 1.0


@given(st.floats(1e-7, 1.0), st.integers(0, 200))
def test_the_rate_falls_to_the_lowest_and_never_rises(rate: float, epochs: int) -> None:
    watch, before = EpochMonitor("loss"), 1.0
    for scores in losses(*[1.0] * epochs):
        watch.see(scores)
        watch.lower(rate)
        assert watch.factor <= before
        before = watch.factor
    assert rate * watch.factor >= min(rate, LOWEST_RATE) * (1 - 1e-9)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(PluginError, match="validation loss"):
        EpochMonitor("loss").see(losses(math.nan)[0])
