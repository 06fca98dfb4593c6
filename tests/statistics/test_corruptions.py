"""Means over corruptions and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from robench.records.corrupted import CorruptedScore, CorruptionRecord
from robench.statistics.corruptions import of_images, relative_error, summarise
from robench.statistics.intervals import wilson_interval


def record(masks: np.ndarray) -> CorruptionRecord:
    """Return the record of masks ``bool (names, severities, n)``."""
    scores = tuple(
        CorruptedScore.of(mask, name=f"c{name}", severity=severity + 1, images=f"{name}{severity}")
        for name, row in enumerate(masks)
        for severity, mask in enumerate(row)
    )
    return CorruptionRecord(label="common", scores=scores, seconds=1.0)


def test_means_are_over_all_scores_alike() -> None:
    masks = np.zeros((2, 3, 4), bool)
    masks[0] = True
    masks[1, 0, :2] = True
    found = summarise(record(masks))
    assert found.mean.percent == pytest.approx(100 * (12 + 2) / 24)
    assert [rate.percent for rate in found.by_severity] == pytest.approx([75, 50, 50])
    assert found.by_name["c1"].percent == pytest.approx(100 * 2 / 12)
    assert found.curves == {"c0": (100, 100, 100), "c1": (50, 0, 0)}
    assert found.severities == (1, 2, 3)


def test_several_runs_are_averaged_image_by_image() -> None:
    right, wrong = np.ones((1, 2, 4), bool), np.zeros((1, 2, 4), bool)
    assert summarise([record(right), record(wrong)]).mean.percent == pytest.approx(50)


def test_corruptions_of_one_image_do_not_count_as_more_images() -> None:
    random = np.random.default_rng(0)
    image = random.random(400) < 0.7
    together = summarise(record(np.broadcast_to(image, (3, 5, 400)))).mean
    assert (together.low, together.high) == pytest.approx(wilson_interval(100 * image.mean(), 399))
    apart = summarise(record(random.random((3, 5, 400)) < 0.7)).mean
    assert apart.high - apart.low < 0.4 * (together.high - together.low)


def test_without_variance_the_interval_is_that_of_the_images() -> None:
    assert of_images(np.ones(50)).low == pytest.approx(wilson_interval(100, 50)[0])
    for share in (1 / 2, 2 / 3, 0.1):  # 2/3 is no sum of powers of 2, so the mean of 50 differs from it by rounding
        assert of_images(np.full(50, share)).low == pytest.approx(wilson_interval(100 * share, 50)[0])


def test_the_mean_corruption_error_is_relative_to_a_reference() -> None:
    random = np.random.default_rng(0)
    rights = [random.random((3, 5, 300)) < share for share in (0.8, 0.7, 0.6)]
    first, second, usual = map(record, rights)
    found = relative_error([first, second], usual)
    errors = [1 - right.mean(axis=(1, 2)) for right in rights]
    assert found is not None
    assert found.percent == pytest.approx(100 * ((errors[0] + errors[1]) / 2 / errors[2]).mean())
    same = relative_error([usual], usual)
    assert same is not None and (same.percent, same.low, same.high) == pytest.approx((100, 100, 100))


def test_its_interval_is_that_of_resampled_images() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300)  # both find the same images hard
    mine, usual = (random.random((3, 5, 300)) < np.clip(hard + shift, 0, 1) for shift in (0.2, 0))
    found = relative_error([record(mine)], record(usual))
    drawn = []
    for _ in range(400):
        rows = random.integers(300, size=300)
        drawn.append((1 - mine[:, :, rows].mean((1, 2))) / (1 - usual[:, :, rows].mean((1, 2))))
    low, high = np.quantile(100 * np.mean(drawn, axis=1), [0.025, 0.975])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.2 * (high - low))


def test_there_is_none_against_other_images_or_without_errors() -> None:
    right = np.zeros((2, 2, 4), bool)
    assert relative_error([record(right)], record(right[:1])) is None
    assert relative_error([record(right)], record(~right)) is None
