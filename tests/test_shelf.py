"""Images are loaded once by runs of one process that use the same, and anew by others."""

from __future__ import annotations

from robench.interfaces import SplitName
from robench.registry import Registry
from robench.shelf import Shelf

from tests import toy


def test_a_dataset_and_its_splits_are_those_of_the_run_before(registry: Registry) -> None:
    shelf = Shelf()
    first = shelf.dataset(registry.resolve("dataset", "dots"))
    images = shelf.split(first, "test", 5)
    assert shelf.dataset(registry.resolve("dataset", "dots")) is first
    assert shelf.split(first, "test", 5) is images
    assert len(shelf.split(first, "test", 6)) == 6
    assert shelf.split(first, "train", 5) is not images


def test_another_dataset_takes_the_place(registry: Registry) -> None:
    shelf, other = Shelf(), registry.resolve("dataset", "dots").build()
    held = shelf.dataset(registry.resolve("dataset", "dots"))
    assert shelf.split(other, "test", 5) is not shelf.split(held, "test", 5)
    assert (shelf.split(other, "test", 5).images == shelf.split(held, "test", 5).images).all()


def test_each_split_is_loaded_once() -> None:
    loaded: list[tuple[SplitName, int | None]] = []

    class Counted(toy.Dots):
        def split(self, name: SplitName, limit: int | None = None):  # type: ignore[no-untyped-def]
            loaded.append((name, limit))
            return super().split(name, limit)

    shelf, dataset = Shelf(), Counted()
    shelf._dataset = dataset
    for _ in range(3):
        shelf.split(dataset, "test", 5)
    assert loaded == [("test", 5)]
