"""Read images that lie in folders named for their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.decode import decode

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


class FolderSource:
    """``train/CLASS/*.png`` and ``test/CLASS/*.png``."""

    def __init__(self, root: Path, class_names: tuple[str, ...]) -> None:
        self._files: dict[str, list[Path]] = {}
        self._labels: dict[str, NDArray[np.int64]] = {}
        for part in ("train", "test"):
            found = {path.name for path in (root / part).iterdir() if path.is_dir()}
            if found != set(class_names):
                odd = sorted(found.symmetric_difference(class_names))
                raise DataError(f"{root / part} should hold the folders {', '.join(class_names)}; check {odd[0]!r}")
            groups = [images_in(root / part / name) for name in class_names]
            self._files[part] = [path for group in groups for path in group]
            self._labels[part] = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    @classmethod
    def open(cls, root: Path, class_names: tuple[str, ...]) -> FolderSource | None:
        """Return a source if `root` has ``train`` and ``test`` folders.

        Raises:
            DataError: Their class folders are not `class_names`, or one is empty.
        """
        if not all((root / part).is_dir() for part in ("train", "test")):
            return None
        return cls(root, class_names)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``, class by class."""
        return self._labels[part]

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the images at `positions` to ``uint8 (n, 3, H, W)``."""
        files = [self._files[part][position] for position in positions]
        return decode((path.read_bytes() for path in files), range(len(files)), f"{part} image")


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder by name.

    Raises:
        DataError: There are none.
    """
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not images:
        raise DataError(f"{folder} holds no images; expected files such as *.jpg, or no such folder")
    return images
