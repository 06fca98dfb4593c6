"""Published corrupted images, read from their files: CIFAR-10-C, CIFAR-100-C, ImageNet-C, Tiny-ImageNet-C."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError, Field, ImageSet, Params, RunContext

from robench_plugins.corruptions.chosen import Chosen, Only, Severities
from robench_plugins.corruptions.strengths import SEVERITIES
from robench_plugins.datasets.published import SPLIT_SEED
from robench_plugins.datasets.readers.folders import is_named_as_image


class FilesParams(Params):
    """Where the files are, and which of them are scored."""

    path: Path = Field(description="folder of the files, as they are published")
    only: Only = Field(
        default="main",
        description="main for the 15 of the benchmark, extra for the 4 others, all for 19, or names joined by +",
    )
    severities: Severities = Field(default="1+2+3+4+5", description="severities joined by +, such as 1+3+5")


class Files(Chosen):
    """Corrupted versions of the test images of a published set, in the order in which that is published.

    Labels tell whether the images of a run are those of the files; if one differs, the run is refused.
    """

    Params = FilesParams
    params: FilesParams

    @cached_property
    def folder(self) -> Path:
        """The folder of the files."""
        folder = self.params.path.expanduser()
        if not folder.is_dir():
            raise DataError(f"no folder {self.params.path}; expected that of the files, as in path=DIR")
        return folder

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        """Return the images of the files."""
        labels = self.labels(name, severity)
        # As robench shuffles every published set, so that the first n images are a fair sample.
        order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
        if positions[-1] >= len(order):
            raise DataError(
                f"{self.folder} has {len(order):,} images of each severity; {positions[-1] + 1:,} are scored"
            )
        chosen = order[positions]
        if (other := np.flatnonzero(labels[chosen] != images.labels)).size:
            at = int(other[0])
            raise DataError(
                f"{self.folder} does not belong to the images of {context.dataset_name}: image {positions[at]} has "
                f"label {images.labels[at]}, in the files {labels[chosen[at]]}; expected the published test images in "
                "their published order"
            )
        found = self.images(name, severity, chosen)
        if found.shape != images.images.shape:
            raise DataError(
                f"{self.folder} has images of {found.shape[2]} x {found.shape[3]} pixels, the run of "
                f"{images.images.shape[2]} x {images.images.shape[3]}; expected a dataset of that size"
            )
        return found

    @abstractmethod
    def labels(self, name: str, severity: int) -> NDArray[np.int64]:
        """Return the labels of all images of a severity, ``int64 (M,)``."""

    @abstractmethod
    def images(self, name: str, severity: int, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at the positions `chosen`, ``uint8 (N, 3, H, W)``."""


class CifarC(Files):
    """``fog.npy`` and so on, ``uint8 (5 M, 32, 32, 3)`` with one severity after the other, and ``labels.npy``.

    Source: https://zenodo.org/records/2535967 (CIFAR-10-C) and https://zenodo.org/records/3555552 (CIFAR-100-C).
    """

    def check_files(self) -> None:
        """Check that every file is there and has the shape of the others."""
        total = len(self._loaded("labels"))
        if not total or total % len(SEVERITIES):
            raise DataError(f"{self.folder}/labels.npy has {total:,} labels; expected as many for each of 5 severities")
        for name in self.names():
            shape = self._loaded(name).shape
            if len(shape) != 4 or shape[0] != total or shape[3] != 3 or self._loaded(name).dtype != np.uint8:
                raise DataError(f"{self.folder}/{name}.npy has shape {shape}; expected uint8 ({total}, 32, 32, 3)")

    def labels(self, name: str, severity: int) -> NDArray[np.int64]:
        """Return the labels of all images of a severity."""
        return np.asarray(self._of(severity, self._loaded("labels")), np.int64)

    def images(self, name: str, severity: int, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return some images of a severity."""
        return np.ascontiguousarray(self._of(severity, self._loaded(name))[chosen].transpose(0, 3, 1, 2))

    def _of(self, severity: int, whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        each = len(whole) // len(SEVERITIES)
        return whole[(severity - 1) * each : severity * each]

    def _loaded(self, name: str) -> NDArray[np.uint8]:
        file = self.folder / f"{name}.npy"
        if not file.is_file():
            raise DataError(f"{self.folder} has no {name}.npy; expected the files of CIFAR-10-C or CIFAR-100-C")
        try:
            found: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{file} cannot be read as an array: {error}") from error
        return found


class ImageNetC(Files):
    """``fog/3/n01440764/ILSVRC2012_val_00000293.JPEG`` and so on, perhaps below ``noise``, ``blur`` and the like.

    Source: https://zenodo.org/records/2235448. Tiny-ImageNet-C has the same layout.
    """

    def check_files(self) -> None:
        """Check that every corruption has a folder for every severity, with as many images."""
        counts = {
            f"{name}/{severity}": len(self._files(name, severity)[0])
            for name in self.names()
            for severity in self.severities()
        }
        few = min(counts, key=lambda place: counts[place])
        if counts[few] < max(counts.values()) or not counts[few]:
            raise DataError(f"{self.folder} has {counts[few]:,} images in {few}; expected {max(counts.values()):,}")

    def labels(self, name: str, severity: int) -> NDArray[np.int64]:
        """Return the labels of all images of a severity: the places of their folders by name."""
        return np.array(self._files(name, severity)[1], np.int64)

    def images(self, name: str, severity: int, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode some images of a severity."""
        files = self._files(name, severity)[0]
        return np.stack([_decoded(files[place]) for place in chosen])

    @cached_property
    def _listed(self) -> dict[tuple[str, int], tuple[list[Path], list[int]]]:
        return {}

    def _files(self, name: str, severity: int) -> tuple[list[Path], list[int]]:
        if (name, severity) not in self._listed:
            self._listed[name, severity] = self._list(name, severity)
        return self._listed[name, severity]

    def _list(self, name: str, severity: int) -> tuple[list[Path], list[int]]:
        tail = Path(name) / str(severity)
        places = [self.folder / tail, *(each / tail for each in sorted(self.folder.iterdir()) if each.is_dir())]
        if (place := next((each for each in places if each.is_dir()), None)) is None:
            raise DataError(f"{self.folder} has no folder {tail}; expected those of ImageNet-C, as {tail}/CLASS/*.JPEG")
        files: list[Path] = []
        labels: list[int] = []
        for label, inner in enumerate(sorted(each for each in place.iterdir() if each.is_dir())):
            images = sorted(each for each in inner.iterdir() if is_named_as_image(each))
            files += images
            labels += [label] * len(images)
        return files, labels


def _decoded(file: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(file) as opened:
            return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is damaged: {error}") from error
