"""Calibration figures against closed forms, plain loops and scikit-learn, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from robench.records.confidences import Confidences
from robench.statistics.calibration import BINS, calibration
from sklearn.metrics import log_loss, roc_auc_score

K = 4


def answers(n: int = 400, seed: int = 0, spread: float = 1.5) -> tuple[Confidences, np.ndarray, np.ndarray]:
    """Return the confidences of random softmax outputs, these probabilities ``(n, K)``, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, K, n)
    logits = spread * random.normal(size=(n, K)) + np.eye(K)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return of(probabilities, labels), probabilities, labels


def of(probabilities: np.ndarray, labels: np.ndarray) -> Confidences:
    own = probabilities[np.arange(len(labels)), labels]
    return Confidences(
        right=probabilities.argmax(axis=1) == labels,
        confidence=probabilities.max(axis=1),
        nll=-np.log(own),
        brier=((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1),
    )


def plain(confidence: list[float], right: list[bool]) -> Confidences:
    """Return the answers of two classes with these confidences."""
    top = np.array(confidence)
    probabilities = np.stack([top, 1 - top], axis=1)
    return of(probabilities, np.where(right, 0, 1))


def test_proper_scores_are_those_of_scikit_learn() -> None:
    run, probabilities, labels = answers()
    found = calibration([run])
    assert found.nll.value == pytest.approx(log_loss(labels, probabilities))
    # Of one class against the others, scikit-learn knows the Brier score; over all classes it is their sum.
    apart = ((probabilities - np.eye(K)[labels]) ** 2).mean(axis=0).sum()
    assert found.brier.value == pytest.approx(apart)
    assert found.accuracy == pytest.approx(100 * (probabilities.argmax(axis=1) == labels).mean())


def test_expected_calibration_error_is_a_sum_over_bins() -> None:
    run, probabilities, labels = answers()
    total = 0.0
    for place in range(BINS):
        low, high = place / BINS, (place + 1) / BINS
        inside = (probabilities.max(axis=1) > low) & (probabilities.max(axis=1) <= high)
        if inside.any():
            accuracy = (probabilities.argmax(axis=1) == labels)[inside].mean()
            total += inside.mean() * abs(accuracy - probabilities.max(axis=1)[inside].mean())
    assert calibration([run]).ece.value == pytest.approx(100 * total)


def test_calibration_of_known_answers_is_known() -> None:
    sure = plain([0.9] * 100, [True] * 60 + [False] * 40)
    found = calibration([sure])
    assert found.ece.value == pytest.approx(30)
    assert found.confidence == pytest.approx(90)
    assert found.brier.value == pytest.approx(0.6 * 0.02 + 0.4 * 1.62)
    assert found.nll.value == pytest.approx(-0.6 * np.log(0.9) - 0.4 * np.log(0.1))
    assert found.rms.value == pytest.approx(30, abs=0.5)  # equal confidences share a bin, whatever their order
    assert found.selective.value == pytest.approx(60)  # all are equally sure, so any order is as good


def test_the_root_mean_square_error_has_no_bias_where_the_expected_error_has() -> None:
    random = np.random.default_rng(1)
    squares, expected = [], []
    for _ in range(15):
        top = random.uniform(0.5, 1, 200)
        found = calibration([plain(top.tolist(), (random.random(200) < top).tolist())])
        squares.append(found.rms.value)
        expected.append(found.ece.value)
        assert found.rms.low == found.ece.low == 0
        assert found.ece.high >= found.ece.value
    assert np.mean(np.array(squares) == 0) > 0.3  # cut off at 0 in about half of the samples
    assert np.mean(expected) > 4


def test_a_biased_network_is_told_from_a_calibrated_one() -> None:
    random = np.random.default_rng(2)
    top = random.uniform(0.6, 1, 600)
    found = calibration([plain(top.tolist(), (random.random(600) < top - 0.2).tolist())])
    assert found.rms.low < 20 < found.rms.high and found.rms.low > 12
    assert found.ece.low < 20 < found.ece.high


def test_selective_accuracy_is_the_mean_over_all_coverages() -> None:
    run, _, _ = answers(97)
    order = np.argsort(-run.confidence)
    risks = np.cumsum(~run.right[order]) / np.arange(1, 98)
    assert calibration([run]).selective.value == pytest.approx(100 * (1 - risks.mean()))
    best = plain([0.9, 0.8, 0.7, 0.6], [True, True, False, False])
    assert calibration([best]).selective.value == pytest.approx(100 * (1 - (0 + 0 + 1 / 3 + 1 / 2) / 4))


def test_equal_confidences_count_as_the_mean_of_all_orders() -> None:
    from itertools import permutations

    tied = plain([0.9, 0.7, 0.7, 0.7, 0.6], [True, True, False, False, True])
    orders = [[0, *order, 4] for order in permutations((1, 2, 3))]
    areas = [1 - (np.cumsum(~tied.right[order]) / np.arange(1, 6)).mean() for order in orders]
    assert calibration([tied]).selective.value == pytest.approx(100 * np.mean(areas))


def test_detection_is_the_area_under_the_roc_curve() -> None:
    clean, attacked = answers(150, 1, 2.0)[0], answers(100, 2, 1.0)[0]
    scores = -np.concatenate([clean.confidence[:100], attacked.confidence])
    assert calibration([attacked], [clean]).auroc is not None
    expected = roc_auc_score(np.repeat([0, 1], 100), scores)
    found = calibration([attacked], [clean]).auroc
    assert found is not None and found.value == pytest.approx(100 * expected)
    assert found.low < found.value < found.high
    same = calibration([clean], [clean]).auroc
    assert same is not None and same.value == pytest.approx(50)


def test_intervals_are_as_wide_as_those_of_the_mean() -> None:
    run, _, _ = answers(1000)
    found = calibration([run])
    half = 1.96 * run.nll.std(ddof=1) / np.sqrt(1000)
    assert found.nll.high - found.nll.low == pytest.approx(2 * half, rel=0.1)
    assert (found.nll.high + found.nll.low) / 2 == pytest.approx(run.nll.mean(), abs=half / 5)
    assert calibration([run]) == found  # the same resamples each time


def test_runs_are_averaged_and_keep_their_images_together() -> None:
    one, two = answers(200, 0)[0], answers(200, 5)[0]
    found, apart = calibration([one, two]), [calibration([each]) for each in (one, two)]
    for name in ("ece", "brier", "nll", "selective"):
        assert getattr(found, name).value == pytest.approx(np.mean([getattr(each, name).value for each in apart]))
    assert calibration([one, one]) == calibration([one])


def test_a_single_image_has_figures() -> None:
    found = calibration([plain([0.8], [True])])
    assert found.n == 1 and found.ece.value == pytest.approx(20) and np.isfinite(found.rms.value)
