"""The dataset `cifar10-1`: CIFAR-10.1, new photographs of the classes of CIFAR-10."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from robench import DataError, Dataset, Field, ImageSet, Params

from robench_plugins.datasets.cifar10 import CIFAR10, CLASSES
from robench_plugins.datasets.published import SPLIT_SEED
from robench_plugins.datasets.readers.photographs import ReadsPhotographs


class CIFAR101Params(Params):
    """Where the files are."""

    path: Path = Field(description="folder with cifar10.1_v6_data.npy and cifar10.1_v6_labels.npy")
    version: Literal["v6", "v4"] = Field(
        default="v6", description="v6 has 2,000 images, as many of each class; v4 has 2,021"
    )


class CIFAR101(ReadsPhotographs, Dataset):
    """Test images alone, of 32 pixels, in the order that every published set has here: shuffled once.

    Source: Recht, Roelofs, Schmidt and Shankar, "Do CIFAR-10 classifiers generalize to CIFAR-10?", 2018
    (arXiv:1806.00451), https://github.com/modestyachts/CIFAR-10.1.
    """

    Params = CIFAR101Params
    params: CIFAR101Params

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten classes of CIFAR-10."""
        return CLASSES

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of CIFAR-10."""
        return CIFAR10().prompts()

    def at_hand(self) -> bool:
        """Return that the files lie in a folder."""
        return True

    def check_files(self) -> None:
        """Check that both files are there and fit each other."""
        _ = self._arrays

    def size(self, name: str) -> int:
        """Return how many images a split has."""
        return len(self._arrays[1]) if name == "test" else 0

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split."""
        labels = self._arrays[1] if name == "test" else self._arrays[1][:0]
        return labels[self._order] if len(labels) else labels

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Return the test images.

        Raises:
            DataError: Files are missing or damaged, or there are too few images.
        """
        n = self.size(name) if limit is None else limit
        if n > self.size(name):
            raise DataError(f"cifar10-1 has {self.size(name):,} {name} images; {n:,} were asked for")
        images, labels = self._arrays
        chosen = self._order[:n] if name == "test" else self._order[:0]
        return ImageSet(images=np.ascontiguousarray(images[chosen].transpose(0, 3, 1, 2)), labels=labels[chosen])

    @property
    def _order(self) -> NDArray[np.int64]:
        order: NDArray[np.int64] = np.random.RandomState(SPLIT_SEED).permutation(len(self._arrays[1]))
        return order

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        folder = self.params.path.expanduser()
        images, labels = (
            self._loaded(folder / f"cifar10.1_{self.params.version}_{what}.npy") for what in ("data", "labels")
        )
        fits = images.dtype == np.uint8 and images.shape == (len(labels), 32, 32, 3) and labels.ndim == 1
        if not fits or not len(labels) or labels.min() < 0 or labels.max() >= len(CLASSES):
            raise DataError(
                f"{folder} is not CIFAR-10.1: images are {images.dtype} {images.shape} with {len(labels)} labels; "
                f"expected uint8 (N, 32, 32, 3) with N labels from 0 to {len(CLASSES) - 1}"
            )
        return images, labels.astype(np.int64)

    def _loaded(self, file: Path) -> NDArray[np.uint8]:
        if not file.is_file():
            raise DataError(f"no file {file}; pass --dataset cifar10-1:path=DIR with the files of CIFAR-10.1")
        try:
            found: NDArray[np.uint8] = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{file} cannot be read as an array: {error}") from error
        return found
