"""Cached things that machines share by a URL: the first that is published is used by all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from robench.compute.world import World
from robench.errors import DataError
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
    for name in ("a", "b"):  # copies need nobody
        assert (
            AdversarialCache(machine(name).folder.parent, print, SharedFolder("s4://nowhere"))
            .get(IDENTITY, never)
            .cached
        )


def test_a_set_that_is_damaged_there_is_made_again_for_all(
    machine: Machine, tmp_path: Path, warnings: list[str]
) -> None:
    first = machine("a").get(IDENTITY, make)
    (there,) = (tmp_path / "there").rglob(f"{first.sha256}.npy")
    there.write_bytes(b"damaged there")
    assert not machine("b").get(IDENTITY, make).cached
    assert any("put aside" in warning for warning in warnings)
    assert machine("c").get(IDENTITY, never).sha256 == first.sha256


@pytest.mark.parametrize("name", ["meta.json", "*.npy"])
def test_a_set_that_is_there_in_part_is_no_set(machine: Machine, tmp_path: Path, name: str) -> None:
    first = machine("a").get(IDENTITY, make)
    next((tmp_path / "there").rglob(name)).unlink()
    other = machine("b").get(IDENTITY, lambda: (images() + 1, {}))
    assert not other.cached and machine("c").get(IDENTITY, never).sha256 == other.sha256 != first.sha256


def test_of_two_machines_that_make_a_set_both_use_the_one_published_first(machine: Machine) -> None:
    def slow() -> Made:
        machine("b").get(IDENTITY, make)
        return images() + 1, {"clean_correct": 41}

    late = machine("a").get(IDENTITY, slow)
    assert late.cached and late.notes == {"clean_correct": 40}
    np.testing.assert_array_equal(late.images, images())
    np.testing.assert_array_equal(machine("a").get(IDENTITY, never).images, images())
    assert sorted(path.name for path in machine("a").folder.iterdir()) == sorted(
        path.name for path in machine("b").folder.iterdir()
    ), "nothing is left of the set that came second"


class Follower(World):
    """A process that does not look up anything itself, and hears what the main process says."""

    def __init__(self, said: list[bool]) -> None:
        super().__init__(size=2, rank=1)
        object.__setattr__(self, "said", said)

    def from_main(self, value: Any) -> Any:
        return self.said.pop(0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "of_first"), [([True], True), ([False, True], True), ([False, False], False)], ids=str
)
def test_all_processes_of_a_run_use_the_set_of_the_main_one(
    machine: Machine, tmp_path: Path, shared: SharedFolder, said: list[bool], of_first: bool
) -> None:
    """The main process finds a set, or finds after making one that another machine was first, or publishes its own."""
    first = machine("a").get(IDENTITY, make)
    follower = AdversarialCache(tmp_path / "c", print, shared, Follower(said))
    found = follower.get(IDENTITY, never if said == [True] else lambda: (images() + 1, {}))
    assert (found.sha256 == first.sha256) == found.cached == of_first and not said


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
    (tmp_path / "there/cache/networks/net-01.bin").write_bytes(b"damaged")
    assert get("c", "again") == get("d", "never") == "again"
    assert warnings and "damaged networks/net-01.bin, made again: not what it claims to be" in warnings[0]
    (tmp_path / "a" / "networks" / "net-01.bin").write_text("damaged")
    assert get("a", "never") == "again"


def test_of_two_machines_that_make_a_file_both_use_the_one_published_first(
    tmp_path: Path, shared: SharedFolder
) -> None:
    def get(machine: str, make: Callable[[Path], None]) -> str:
        return cached_file(tmp_path / machine, shared, "net.bin", read=read, make=make, warn=pytest.fail)

    def slow(path: Path) -> None:
        assert get("b", lambda path: path.write_text("first") and None) == "first"
        path.write_text("second")

    assert get("a", slow) == get("a", pytest.fail) == get("c", pytest.fail) == "first"


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
