"""A cache of loaded images: the runs of a sweep mostly share one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robench.contracts.dataset import Dataset, SplitName
from robench.images.image_set import ImageSet
from robench.registry.resolved import Resolved


class DatasetCache:
    """Keeps one dataset, that of the last run, and the splits that were loaded from it."""

    def __init__(self) -> None:
        self._held: Any = None
        self._dataset: Dataset | None = None
        self._splits: dict[tuple[SplitName, int], ImageSet] = {}

    def dataset(self, wanted: Resolved, contents: Mapping[str, str] | None = None) -> Dataset:
        """Return the dataset `wanted`, and keep it in place of another one.

        Args:
            contents: Hashes of the files of the run; images of files that have changed are read again.
        """
        hashes = [(contents or {}).get(f"dataset {name}") for name in wanted.files()]
        which = (wanted.component, wanted.values(), hashes)
        if self._dataset is None or self._held != which:
            self._held, self._dataset, self._splits = which, wanted.build(), {}
        return self._dataset

    def split(self, dataset: Dataset, name: SplitName, size: int) -> ImageSet:
        """Return the first `size` images of a split; those of the kept dataset are loaded once.

        Raises:
            DataError: Files are missing or damaged, or the split has fewer images.
        """
        if dataset is not self._dataset:
            return dataset.split(name, size)
        if (name, size) not in self._splits:
            self._splits[name, size] = dataset.split(name, size)
        return self._splits[name, size]
