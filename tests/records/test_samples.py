"""Sample images beside the records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robench.errors import DataError
from robench.records.samples import LIMIT, AttackSamples, Samples, choose

from tests.helpers.results import samples


def assert_same(one: Samples, other: Samples) -> None:
    for name in ("labels", "indices", "clean", "logits", "predictions"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype and np.array_equal(first, second), name
    assert one.temperature == other.temperature
    for ours, theirs in zip(one.attacks, other.attacks, strict=True):
        assert isinstance(ours, AttackSamples) and ours.label == theirs.label
        for name in ("images", "logits", "predictions"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("temperature", [None, 12.5])
def test_what_is_read_is_what_was_written(tmp_path: Path, temperature: float | None) -> None:
    made = samples(temperature=temperature)
    path = tmp_path / "deep" / "run.safetensors"
    made.save(path)
    assert_same(Samples.load(path), made)
    assert [file.name for file in path.parent.iterdir()] == ["run.safetensors"]


def test_ten_thousand_images_take_little_room(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    samples(n=10_000, side=32).save(path)
    assert path.stat().st_size < 250_000


def test_damaged_or_missing_samples_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"samples in .*nothing cannot be read"):
        Samples.load(tmp_path / "nothing")
    path = tmp_path / "run.safetensors"
    samples().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        Samples.load(path)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 200))
def test_samples_are_the_first_of_their_class_among_the_attacked(labels: list[int], n: int) -> None:
    chosen = choose(np.array(labels), n)
    assert len(chosen) == min(LIMIT, len(set(labels[:n])))
    assert all(index < n and labels.index(labels[index]) == index for index in chosen)
    assert len({labels[index] for index in chosen}) == len(chosen)
