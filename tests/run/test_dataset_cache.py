"""Images are loaded once by runs of one process that use the same, and anew by others."""

from __future__ import annotations

from robench.contracts.dataset import SplitName
from robench.registry.registry import Registry
from robench.run.dataset_cache import DatasetCache

from tests.helpers import toy


def test_a_dataset_and_its_splits_are_those_of_the_run_before(registry: Registry) -> None:
    dataset_cache = DatasetCache()
    first = dataset_cache.dataset(registry.resolve("dataset", "dots"))
    images = dataset_cache.split(first, "test", 5)
    assert dataset_cache.dataset(registry.resolve("dataset", "dots")) is first
    assert dataset_cache.split(first, "test", 5) is images
    assert len(dataset_cache.split(first, "test", 6)) == 6
    assert dataset_cache.split(first, "train", 5) is not images


def test_another_dataset_takes_the_place(registry: Registry) -> None:
    dataset_cache, other = DatasetCache(), registry.resolve("dataset", "dots").build()
    held = dataset_cache.dataset(registry.resolve("dataset", "dots"))
    assert dataset_cache.split(other, "test", 5) is not dataset_cache.split(held, "test", 5)
    assert (dataset_cache.split(other, "test", 5).images == dataset_cache.split(held, "test", 5).images).all()


def test_each_split_is_loaded_once() -> None:
    loaded: list[tuple[SplitName, int | None]] = []

    class Counted(toy.Dots):
        def split(self, name: SplitName, limit: int | None = None):  # type: ignore[no-untyped-def]
            loaded.append((name, limit))
            return super().split(name, limit)

    dataset_cache, dataset = DatasetCache(), Counted()
    dataset_cache._dataset = dataset
    for _ in range(3):
        dataset_cache.split(dataset, "test", 5)
    assert loaded == [("test", 5)]
