"""Means over corruptions and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from robench.records.corrupted import CorruptedScore, CorruptionRecord
from robench.statistics.corruptions import of_images, summarise
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
    assert of_images(np.full(50, 0.5)).low == pytest.approx(wilson_interval(50, 50)[0])
