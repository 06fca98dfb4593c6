"""Confidences in a record: what is kept, how small it is, and what is refused."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from pydantic import ValidationError
from robench.records.confidences import MOST_KEPT, AnsweredScore, pack_confidences
from robench.records.record import AttackScore, RunResult

from tests.helpers.results import result


def made(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return whether answers of two classes are right, their confidence, NLL and Brier scores."""
    random = np.random.default_rng(seed)
    right, top = random.random(n) < 0.8, random.uniform(0.5, 1, n)
    own = np.where(right, top, 1 - top)
    return right, top, -np.log(own), 2 * (1 - own) ** 2


def test_figures_come_back_to_rounding() -> None:
    right, top, nll, brier = made(500)
    score = AnsweredScore.of(right, confidences=pack_confidences(top, nll, brier))
    again = AnsweredScore.model_validate_json(score.model_dump_json()).sureness()
    assert again is not None and np.array_equal(again.right, right)
    assert np.abs(again.confidence - top).max() < 1e-5
    assert np.abs(again.nll / nll - 1).max() < 1e-3
    assert np.abs(again.brier - brier).max() < 4e-5


def test_extreme_figures_are_kept_within_16_bits() -> None:
    packed = pack_confidences(np.array([1.0, 1.0]), np.array([0.0, np.inf]), np.array([0.0, 2.0]))
    found = AnsweredScore.of(np.array([True, False]), confidences=packed).sureness()
    assert found is not None
    assert found.nll.tolist() == [0, 60_000] and found.confidence.tolist() == [1, 1] and found.brier.tolist() == [0, 2]


def test_the_size_is_bounded() -> None:
    n = MOST_KEPT + 500
    right, top, nll, brier = made(n)
    packed = pack_confidences(top, nll, brier)
    assert len(packed) <= 8 * MOST_KEPT + 100
    found = AnsweredScore.of(right, confidences=packed).sureness()
    assert found is not None and len(found) == MOST_KEPT


def test_older_records_have_none() -> None:
    record = result()
    assert record.clean is not None and record.clean.sureness() is None
    content = record.model_dump(mode="json")
    for part in (content["clean"], *content["attacks"]):
        assert part.pop("confidences") is None
    assert RunResult.model_validate(content) == record
    assert "confidences" not in content["worst_case"][0]
    assert issubclass(AttackScore, AnsweredScore)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no base64!", "base64|Only base64"),
        (base64.b64encode(b"no deflate").decode(), "confidences cannot be unpacked"),
        (base64.b64encode(zlib.compress(b"12345")).decode(), "5 bytes of confidences for 2 images"),
        (base64.b64encode(zlib.compress(bytes(10**7))).decode(), "13 bytes of confidences for 2 images"),
        (base64.b64encode(zlib.compress(b"\xff\xff\xff\xff" + b"\x00\x7c" * 2 + bytes(4))).decode(), "no number"),
        (pack_confidences(np.array([0.9, 0.9]), np.array([1.0, 1.0]), np.ones(2)), "not the probability of the label"),
    ],
)
def test_damaged_and_contradictory_figures_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AnsweredScore.of(np.array([True, False]), confidences=text)
