"""The scored images of a run as files: PNG, a manifest, and arrays."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError
from robench.images.image_set import ImageSet
from robench.present.harmless import cell

FIELDS = ("file", "index", "label", "class", "predicted", "sha256", "clean_sha256")


class SavedImages:
    """Writes sets of images into a folder, each as ``NAME/CLASS/INDEX.png``, ``NAME/manifest.csv`` and ``NAME.npz``.

    ``images:path=`` reads both forms. Hashes are of the pixels ``uint8 (3, H, W)``, SHA-256.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.folder, self.class_names = folder, class_names
        self._folders = _distinct([_as_name(name) for name in class_names])
        self._sets: list[str] = []

    def add(self, name: str, images: NDArray[np.uint8], clean: ImageSet, predicted: NDArray[np.int64]) -> None:
        """Write one set.

        Args:
            name: ``clean``, or the label of the attack.
            images: ``uint8 (N, 3, H, W)``.
            clean: The images that they are versions of, in the same order.
            predicted: Predicted class of each of `images`, ``int64 (N,)``.

        Raises:
            DataError: The folder cannot be written to.
        """
        from PIL import Image

        self._sets.append(_as_name(name))
        own = _distinct(self._sets)[-1]
        here = self.folder / own
        rows, hashes = [], []
        try:
            for label in np.unique(clean.labels):
                (here / self._folders[label]).mkdir(parents=True, exist_ok=True)
            for index, (image, label) in enumerate(zip(images, clean.labels.tolist(), strict=True)):
                file = f"{self._folders[label]}/{index:06d}.png"
                Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(here / file)
                hashes.append((pixel_hash(image), pixel_hash(clean.images[index])))
                name_of = self.class_names[label]
                rows.append((file, index, label, name_of, self.class_names[predicted[index]], *hashes[-1]))
            arrays: dict[str, Any] = {
                "images": np.asarray(images),
                "labels": clean.labels,
                "index": np.arange(len(images)),
                "predicted": predicted,
                "clean_sha256": np.array([each for _, each in hashes]),
                "class_names": np.array(self.class_names),
            }
            np.savez(self.folder / f"{own}.npz", **arrays)
            with (here / "manifest.csv").open("w", newline="", encoding="utf-8") as text:
                writer = csv.writer(text, lineterminator="\n")
                writer.writerow(FIELDS)
                writer.writerows([[cell(value) for value in row] for row in rows])
        except OSError as error:
            raise DataError(f"images cannot be saved in {self.folder}: {error.strerror or error}") from None


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the pixels of one image ``uint8 (3, H, W)``."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _as_name(text: str) -> str:
    """Return `text` as the name of a file on any system."""
    return re.sub(r"[^\w=+,-]+", "_", text).strip("_=+-,")[:120] or "unnamed"


def _distinct(names: Sequence[str]) -> list[str]:
    """Return `names` with a number after each that was there before; a file system may not tell cases apart."""
    found: list[str] = []
    for name in names:
        number, made = 1, name
        while made.lower() in {each.lower() for each in found}:
            number += 1
            made = f"{name}-{number}"
        found.append(made)
    return found
