"""Cached things that machines share by a URL: each is made by one machine, and copied by the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from robench.errors import DataError
from robench.storage import shared_cache
from robench.storage.adversarial_cache import AdversarialCache
from robench.storage.cached_file import cached_file
from robench.storage.checkpoint import Checkpoint
from robench.storage.shared_folder import SharedFolder

from tests.storage.test_adversarial_cache import IDENTITY, images, make, never

Made = tuple[NDArray[np.uint8], dict[str, Any]]
Machine = Callable[[str], AdversarialCache]


@pytest.fixture
def shared(tmp_path: Path) -> SharedFolder:
    return SharedFolder(f"file://{tmp_path}/there/cache")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def machine(tmp_path: Path, shared: SharedFolder, warnings: list[str]) -> Machine:
    """The cache of a machine, by name."""
    return lambda name: AdversarialCache(tmp_path / name, warnings.append, shared)


def test_a_set_is_made_on_one_machine_and_read_on_all(machine: Machine, shared: SharedFolder) -> None:
    first = machine("a").get(IDENTITY, make)
    there = machine("b").get(IDENTITY, never)
    assert (first.cached, there.cached) == (False, True) and first.sha256 == there.sha256
    assert isinstance(there.images, np.memmap) and there.notes == {"clean_correct": 40}
    np.testing.assert_array_equal(there.images, images())
    assert not shared.entries("making")
    for name in ("a", "b"):  # copies need nobody
        assert (
            AdversarialCache(machine(name).folder.parent, print, SharedFolder("s4://nowhere"))
            .get(IDENTITY, never)
            .cached
        )


def test_a_set_that_is_damaged_there_is_made_again_for_all(
    machine: Machine, shared: SharedFolder, warnings: list[str]
) -> None:
    first = machine("a").get(IDENTITY, make)
    (key,) = (path.name for path in machine("a").folder.iterdir() if path.is_dir())
    shared.put(f"adversarial/{key}/{first.sha256}.npy", b"damaged there")
    assert not machine("b").get(IDENTITY, make).cached
    assert any("put aside" in warning for warning in warnings)
    assert machine("c").get(IDENTITY, never).sha256 == first.sha256


@pytest.mark.parametrize("name", ["meta.json", "images"])
def test_a_set_that_is_there_in_part_is_no_set(machine: Machine, shared: SharedFolder, name: str) -> None:
    first = machine("a").get(IDENTITY, make)
    (key,) = (path.name for path in machine("a").folder.iterdir() if path.is_dir())
    shared.remove(f"adversarial/{key}/{'meta.json' if name == 'meta.json' else first.sha256 + '.npy'}")
    other = machine("b").get(IDENTITY, lambda: (images() + 1, {}))
    assert not other.cached and machine("c").get(IDENTITY, never).sha256 == other.sha256 != first.sha256


def test_one_who_lost_the_lease_takes_the_set_that_is_there(machine: Machine) -> None:
    def slept() -> Made:
        machine("b").folder.mkdir(parents=True)
        quick = machine("b")
        quick.shared = None  # no lease holds it back
        quick.get(IDENTITY, make)
        assert shared_cache.publish_set(machine("b").shared or pytest.fail(), next(_sets(quick)))
        return images() + 1, {"clean_correct": 41}

    late = machine("a").get(IDENTITY, slept)
    assert late.cached and late.notes == {"clean_correct": 40}
    np.testing.assert_array_equal(late.images, images())
    np.testing.assert_array_equal(machine("a").get(IDENTITY, never).images, images())


def _sets(cache: AdversarialCache) -> Any:
    return (path for path in cache.folder.iterdir() if path.is_dir())


def test_a_maker_that_fails_leaves_the_set_to_others(machine: Machine) -> None:
    def fail() -> Made:
        raise RuntimeError("attack failed")

    with pytest.raises(RuntimeError, match="attack failed"):
        machine("a").get(IDENTITY, fail)
    assert not machine("b").get(IDENTITY, make).cached


def read(path: Path) -> str:
    if path.read_text() == "damaged":
        raise DataError("not what it claims to be")
    return path.read_text()


def test_a_file_is_made_on_one_machine_and_read_on_all(
    tmp_path: Path, shared: SharedFolder, warnings: list[str]
) -> None:
    def get(machine: str, content: str, there: SharedFolder | None = shared) -> str:
        return cached_file(
            tmp_path / machine,
            there,
            "networks/net-01.bin",
            read=read,
            make=lambda path: path.write_text(content) and None,
            warn=warnings.append,
        )

    assert get("a", "first") == get("b", "never") == get("a", "never") == "first" != get("alone", "own", None)
    shared.put("networks/net-01.bin", b"damaged")
    assert get("c", "again") == get("d", "never") == "again"
    assert warnings and "damaged networks/net-01.bin, made again: not what it claims to be" in warnings[0]
    (tmp_path / "a" / "networks" / "net-01.bin").write_text("damaged")
    assert get("a", "never") == "again"


def test_training_goes_on_on_another_machine(tmp_path: Path, shared: SharedFolder, warnings: list[str]) -> None:
    def checkpoint(machine: str) -> Checkpoint:
        path = tmp_path / machine / "checkpoints" / "run.pt"
        return Checkpoint(path, {"run": "1"}, warnings.append, shared=shared)

    checkpoint("a").save({"weights": torch.ones(3), "epoch": 1})
    there = checkpoint("b").load()
    assert there is not None and there["epoch"] == 1 and there["weights"].tolist() == [1, 1, 1]
    checkpoint("b").save({"epoch": 2})
    assert (checkpoint("a").load() or {})["epoch"] == 2  # although its own is still here
    checkpoint("a").remove()
    assert checkpoint("c").load() is None and not warnings
    (tmp_path / "there").rename(tmp_path / "gone")
    (tmp_path / "there").write_text("in the way")
    checkpoint("b").save({"epoch": 3})
    assert len(warnings) == 1 and "cannot keep a checkpoint" in warnings[0]
