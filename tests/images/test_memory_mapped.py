"""Large sets of images live on disk, and are the same images."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray
from robench.attack.perturbation import check_ball, perturb_set
from robench.contracts.types import ThreatModel
from robench.errors import BudgetError, DataError
from robench.images import memory_mapped as large
from robench.images.image_set import ImageSet
from robench.images.memory_mapped import empty_images, gather_images, let_go, parts_of, save_images
from robench.storage.adversarial_cache import hash_images
from torch import Tensor, nn

from robench_plugins.attackers.fgsm import FGSM

LINF = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="white-box")


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 4), dtype=np.uint8)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "IN_MEMORY", 0)


def test_small_arrays_are_in_memory_and_large_ones_are_not(images: NDArray[np.uint8]) -> None:
    assert type(empty_images(images.shape)) is np.ndarray
    assert type(empty_images((2**26, 3, 1, 1))) is np.memmap  # nothing is written until it is


def test_letting_go_loses_nothing(images: NDArray[np.uint8], on_disk: None) -> None:
    made = empty_images(images.shape)
    made[:] = images
    let_go(made[:7], images)
    assert (made == images).all()
    assert [len(part) for (part,) in parts_of(made)] == [1024, 1024, 452]
    assert (np.concatenate([part for (part,) in parts_of(made)]) == images).all()


@pytest.mark.skipif(not hasattr(psutil.Process(), "memory_maps"), reason="this system does not tell")
def test_letting_go_gives_memory_back(on_disk: None) -> None:
    made, process = empty_images((2**26, 1, 1, 1)), psutil.Process()
    before = process.memory_info().rss
    made[:] = 1
    filled = process.memory_info().rss
    let_go(made)
    assert filled - before > 2**25 and process.memory_info().rss - before < 2**24


def test_a_map_that_is_copied_on_writing_keeps_what_was_written(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(10_000, np.uint8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
    mapped[:] = 3
    let_go(mapped)
    assert (mapped == 3).all()


@pytest.mark.parametrize("most", [0, 2**26])
def test_parts_are_gathered_in_their_places(
    images: NDArray[np.uint8], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "IN_MEMORY", most)
    places = np.random.default_rng(1).permutation(len(images))
    parts = [(places[start : start + 300], images[places[start : start + 300]]) for start in range(0, 2500, 300)]
    assert (gather_images(len(images), parts) == images).all()
    with pytest.raises(DataError, match=r"some images have shape \(3, 2, 2\), others \(3, 4, 4\)"):
        gather_images(2600, [parts[0], (places[:2], images[:2, :, :2, :2])])
    with pytest.raises(DataError, match="there are no images"):
        gather_images(0, [])


def test_files_and_hashes_are_those_of_whole_arrays(images: NDArray[np.uint8], on_disk: None) -> None:
    file, whole = io.BytesIO(), io.BytesIO()
    made = empty_images(images.shape)
    made[:] = images
    save_images(file, made)
    np.save(whole, images)
    assert file.getvalue() == whole.getvalue()
    assert hash_images(made) == hash_images(images)
    labels = np.zeros(len(images), np.int64)
    sets = [ImageSet(images=each, labels=labels) for each in (made, images)]
    assert sets[0].fingerprint() == sets[1].fingerprint()


def test_an_attack_is_the_same_on_disk(images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    class Sums(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.flatten(1)[:, :3]

    data = ImageSet(images=images[:300], labels=np.zeros(300, np.int64))
    found = []
    for most in (2**26, 0):
        monkeypatch.setattr(large, "IN_MEMORY", most)
        found.append(perturb_set(FGSM(), Sums(), data, threat=LINF, device=torch.device("cpu"), seed=0)[0])
    assert type(found[1]) is np.memmap and (found[0] == found[1]).all()


def test_a_ball_is_checked_to_its_last_image(images: NDArray[np.uint8]) -> None:
    moved = images.copy()
    moved[-1] ^= 128
    assert check_ball(images, images, LINF) == 0
    with pytest.raises(BudgetError, match="128/255 lies outside"):
        check_ball(images, moved, LINF)
