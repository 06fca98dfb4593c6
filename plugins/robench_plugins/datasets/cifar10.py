"""The dataset `cifar10`, in each form that it is handed on in: parquet, python batches, class folders or the Hub."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from robench import DataError, Dataset, Field, ImageSet, Params

from robench_plugins.datasets.readers.class_folders import FolderSource
from robench_plugins.datasets.readers.parquet import ParquetSource
from robench_plugins.datasets.readers.photographs import ReadsPhotographs
from robench_plugins.datasets.readers.python_batches import BatchesSource

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HUB_ID = "uoft-cs/cifar10"
SHAPE = (3, 32, 32)
VALIDATION_SHARE = 10
"""One training image in ten is locked away for validation: 45,000 / 5,000 / 10,000 on the full set."""
SPLIT_SEED = 0


class Source(Protocol):
    """One on-disk form: labels of a part (``train`` or ``test``) and the images at given positions.

    Attributes:
        notes: What was left out.
    """

    notes: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that the files themselves give, or None."""

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at `positions`, ``uint8 (n, 3, 32, 32)``."""


class CIFAR10Params(Params):
    """Where the images are."""

    path: str = Field(
        default=HUB_ID,
        description="folder with the Hub's parquet files, with cifar-10-batches-py, or with train/CLASS/*.png and "
        "test/CLASS/*.png; or a Hub id",
    )


class CIFAR10(ReadsPhotographs, Dataset):
    """Ten classes of 32-pixel photographs: 45,000 training, 5,000 locked validation and 10,000 test images.

    Validation is a seeded draw from the published training images, the same in every run.
    """

    Params = CIFAR10Params
    params: CIFAR10Params

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the files name; by default the ten of CIFAR-10 in their published order."""
        return (self._source.class_names if self._local else None) or CLASSES

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, and whether the files name other classes than CIFAR-10 has."""
        if self.class_names == CLASSES:
            return self._source.notes
        named = f"{len(self.class_names)} classes of the files' own names, not CIFAR-10's: {self.class_names}"
        return (*self._source.notes, named)

    def check_files(self) -> None:
        """Check that a folder holds the set, in one of its forms; one of the Hub is not looked at."""
        path = self.params.path
        if self._local or not is_hub_id(path):
            labels = self._source.labels("test")
            self._refuse_other_sets()
            if len(labels) and self._local:
                self._refuse_other_sizes(self._source.images("test", np.array([0])))

    def _refuse_other_sets(self) -> None:
        """Refuse files that name other classes than CIFAR-10 has."""
        names = self._source.class_names or CLASSES
        if strange := sorted({name.lower() for name in names} ^ set(CLASSES)):
            raise DataError(
                f"{self.params.path} is not CIFAR-10: its {len(names)} classes and CIFAR-10's differ in "
                f"{', '.join(strange[:3])}; pass --dataset hub:path={self.params.path}"
            )

    def _refuse_other_sizes(self, images: NDArray[np.uint8]) -> None:
        """Refuse parquet with images of another size."""
        if images.shape[1:] != SHAPE and isinstance(self._source, ParquetSource):
            raise DataError(
                f"{self.params.path} is not CIFAR-10: its images have {images.shape[2]} x {images.shape[3]} pixels, "
                f"CIFAR-10's 32 x 32; pass --dataset hub:path={self.params.path}"
            )

    @cached_property
    def _source(self) -> Source:
        return open_source(self.params.path)

    @property
    def _local(self) -> bool:
        """Whether there is a folder of files; classes of the Hub's set are known without a download."""
        return Path(self.params.path).expanduser().is_dir()

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Read a split, decoding only the images asked for.

        Raises:
            DataError: Files are missing or damaged, a label is unknown, or the split has too few images.
        """
        source = self._source
        self._refuse_other_sets()
        part = "test" if name == "test" else "train"
        labels = source.labels(part)
        # RandomState's streams are frozen for good, so this split is too. Test images of a folder come class
        # by class; a shuffle makes every prefix a fair sample there, and does no harm elsewhere.
        order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
        if part == "train":
            held_out = len(labels) // VALIDATION_SHARE
            order = order[:held_out] if name == "validation" else order[held_out:]
        if limit is not None and limit > len(order):
            raise DataError(f"cifar10 has {len(order):,} {name} images; {limit:,} were asked for")
        positions = order[:limit]
        images = source.images(part, positions)
        self._refuse_other_sizes(images)
        return ImageSet(images=images, labels=labels[positions])

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return CLIP's own plain prompts for CIFAR-10, an ensemble of three for each class."""
        templates = ("a photo of a {}.", "a blurry photo of a {}.", "a low contrast photo of a {}.")
        return tuple(tuple(template.format(name) for template in templates) for name in self.class_names)


def open_source(path: str) -> Source:
    """Recognise the form of the data at `path`.

    Raises:
        DataError: There is nothing there, or nothing recognised.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        if is_hub_id(path):
            folder = _from_hub(path)
        else:
            raise DataError(f"no folder {path}; pass --dataset cifar10:path=DIR")
    forms: list[Callable[[Path], Source | None]] = [
        ParquetSource.open,
        BatchesSource.open,
        lambda root: FolderSource.open(root, CLASSES),
    ]
    for form in forms:
        source = form(folder)
        if source is not None:
            return source
    raise DataError(
        f"{folder} holds no CIFAR-10: expected train-*.parquet and test-*.parquet, cifar-10-batches-py, "
        "or train/CLASS and test/CLASS"
    )


def is_hub_id(path: str) -> bool:
    """Return whether a path that is no folder looks like ORG/NAME."""
    return path.count("/") == 1 and not path.startswith((".", "~", "/"))


def _from_hub(repository: str) -> Path:
    """Return the local snapshot of a Hub dataset, fetching it if need be."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=["*.parquet"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"dataset {repository!r} cannot be had from the Hugging Face Hub and is not in its cache; download it "
            f"where there is a network (hf download {repository} --repo-type dataset --local-dir DIR) and pass "
            "--dataset cifar10:path=DIR"
        ) from error
