"""Images that were attacked elsewhere, read from a file or a folder and judged as any attack."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from robench import Attacker, DataError, Field, SpecError, ThreatModel
from torch import Tensor, nn

from robench_plugins.attackers.params import AnyBallParams
from robench_plugins.datasets.readers.texts import read_text

SUFFIXES = {".png", ".bmp", ".tif", ".tiff", ".webp"}
FORMATS = ("PNG", "BMP", "TIFF", "WEBP")
"""Of images; JPEG changes pixels, so that what it holds would not be what was attacked. Others, such as EPS, make PIL
start further programs."""
ARRAYS = ("images", "index", "clean_sha256", "labels")
MOST_TIMES, SMALL = 100, 100_000
"""How many times its size a file may have unpacked, and what counts as small; images are packed 20 times at best."""

MANIFEST = "manifest.csv"


class Entry(NamedTuple):
    """One image of the file: where it is, which test image it is of, and its class, as far as the file says."""

    place: Path | int
    position: int
    clean_sha256: str
    label: int | None


class ImagesParams(AnyBallParams):
    """Where the images are, and what is claimed of them."""

    path: str = Field(description="an .npz file, a manifest.csv, or a folder of images, with or without one")
    knowledge: Literal["white-box", "transfer", "query", "labels", "nothing"] = Field(
        default="transfer", description="what their maker saw of this model: gradients, a surrogate's, logits, nothing"
    )


class Images(Attacker):
    """Images that were made elsewhere. They are never projected: what is outside the ball counts as no attack.

    Each is matched to its test image by the hash of the clean image (``clean_sha256``), else by its position in the
    split (``index``, or the number that a file is named by, as ``000012.png``), else by its order. A test image without
    one counts as not attacked. The warnings of the record count and name both kinds.
    """

    Params = ImagesParams
    params: ImagesParams
    projected = False

    def threat(self, *, surrogate: bool) -> ThreatModel:
        """Return the ball that is claimed.

        Raises:
            SpecError: A surrogate is named; the images are made already.
        """
        if surrogate:
            raise SpecError("images were made elsewhere, so they take no surrogate; expected images:path=FILE")
        base = super().threat(surrogate=False)
        return replace(base, knowledge=self.params.knowledge)

    def check_files(self) -> None:
        """Refuse a path that is neither an archive of arrays nor a folder of images.

        Raises:
            DataError: It is; the message says what was expected.
        """
        _ = self._entries

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return what the file has for these images, found by their hashes.

        Raises:
            DataError: The file has no hashes of clean images, or has none of these.
        """
        if not self._by_hash:
            raise DataError(f"{self.params.path} has no clean_sha256; expected it, to tell which images these are")
        return self.perturb_at(network, images, labels, np.full(len(images), -1))

    def perturb_at(self, network: nn.Module, images: Tensor, labels: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return what the file has for the test images at `positions`, and the clean image where it has none.

        Raises:
            DataError: An image has another size or label than the test image, or cannot be read.
        """
        levels = (images * 255).round().byte().cpu().numpy()
        found = images.clone()
        for at, (clean, label, position) in enumerate(zip(levels, labels.tolist(), positions.tolist(), strict=True)):
            entry = self._by_hash.get(_hash(clean)) if self._by_hash else self._by_index.get(position)
            if entry is None:
                self.missing.append(position)
                continue
            if entry.label is not None and entry.label != label:
                raise DataError(
                    f"{self._name(entry)} has label {entry.label}, the test image at {position} has {label}; expected "
                    "the same images and classes as those of the run"
                )
            self.matched.append(position)
            made = self._read(entry, clean.shape)
            if made.shape != clean.shape:
                raise DataError(
                    f"{self._name(entry)} has shape {made.shape}, the test image {clean.shape}; expected the same size"
                )
            found[at] = torch.from_numpy(made).to(images) / 255
        return found

    def remarks(self) -> Iterator[str]:
        """Yield how many of the images asked for the file has not.

        Raises:
            DataError: It has none of them.
        """
        if self.missing and not self.matched:
            raise DataError(
                f"{self.params.path} has none of the {len(self.missing)} test images; expected images of this dataset "
                "and split, with index or clean_sha256 of the test images"
            )
        if self.missing:
            some = ", ".join(map(str, self.missing[:10])) + (" and more" if len(self.missing) > 10 else "")
            yield f"{len(self.missing)} images are not in {self.params.path} and count as no attack: {some}"

    @cached_property
    def missing(self) -> list[int]:
        """Positions that were asked for and are not there."""
        return []

    @cached_property
    def matched(self) -> list[int]:
        """Positions that were asked for and are there."""
        return []

    @cached_property
    def _path(self) -> Path:
        path = Path(self.params.path).expanduser()
        return path.parent if path.name == MANIFEST and path.is_file() else path

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        try:
            with zipfile.ZipFile(self._path) as packed:
                members = packed.infolist()
                unpacked = sum(each.file_size for each in members if each.filename.removesuffix(".npy") in ARRAYS)
            if unpacked > MOST_TIMES * max(self._path.stat().st_size, SMALL):
                raise ValueError(f"it would unpack to {unpacked / 1e6:,.0f} MB")
            with np.load(self._path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS if name in file.files}
        except Exception as error:  # a damaged file makes the readers raise anything, such as zlib.error
            raise DataError(f"{self._path} cannot be read: {error}; expected an .npz with an array images") from None
        if "images" not in arrays:
            has = ", ".join(each.filename.removesuffix(".npy") for each in members[:10]) or "nothing"
            raise DataError(f"{self._path} has {has}; expected an array images, uint8 (N, 3, H, W)")
        arrays["images"] = self._checked(arrays["images"])
        return arrays

    def _checked(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """Return images as ``uint8 (N, 3, H, W)``."""
        if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
            images = images.transpose(0, 3, 1, 2)
        if images.ndim != 4 or images.shape[1] != 3:
            raise DataError(f"images in {self._path} have shape {images.shape}; expected (N, 3, H, W)")
        if np.issubdtype(images.dtype, np.floating):
            low, high = float(images.min(initial=0)), float(images.max(initial=0))
            if not (low >= 0 and high <= 1):
                raise DataError(f"images in {self._path} reach from {low:.4g} to {high:.4g}; expected [0, 1], or uint8")
            images = (images * 255).round().astype(np.uint8)
        if images.dtype != np.uint8:
            raise DataError(f"images in {self._path} are {images.dtype}; expected uint8, or float in [0, 1]")
        return images

    @cached_property
    def _entries(self) -> list[Entry]:
        if not self._path.is_file() and not self._path.is_dir():
            raise DataError(f"there is no {self._path}; expected an .npz file or a folder of images")
        entries = list(self._of_folder() if self._path.is_dir() else self._of_arrays())
        if not entries:
            raise DataError(f"{self._path} has no images; expected {', '.join(sorted(SUFFIXES))}, or a manifest.csv")
        indices = [entry.position for entry in entries]
        if twice := [each for each, n in Counter(indices).items() if n > 1]:
            raise DataError(f"{self._path} has several images for test image {twice[0]}; expected one")
        return entries

    def _of_arrays(self) -> Iterator[Entry]:
        arrays, n = self._arrays, len(self._arrays["images"])
        columns = {name: arrays.get(name) for name in ("index", "clean_sha256", "labels")}
        for name, column in columns.items():
            if column is not None and column.shape != (n,):
                raise DataError(f"{name} in {self._path} has shape {column.shape}; expected ({n},)")
            if column is not None and name != "clean_sha256" and column.dtype.kind not in "iu":
                raise DataError(f"{name} in {self._path} is {column.dtype}; expected whole numbers")
        for at in range(n):
            index, sha256, label = (None if column is None else column[at] for column in columns.values())
            yield Entry(
                at, at if index is None else int(index), str(sha256 or ""), None if label is None else int(label)
            )

    def _of_folder(self) -> Iterator[Entry]:
        manifest = self._path / MANIFEST
        if not manifest.exists():
            if sets := sorted(path.parent for path in self._path.glob(f"*/{MANIFEST}")):
                names = ", ".join(path.name for path in sets)
                attacked = next((path for path in sets if path.name != "clean"), sets[0])
                raise DataError(f"{self._path} holds several sets of images ({names}); name one, as path={attacked}")
            files = sorted(path for path in self._path.rglob("*") if path.suffix.lower() in SUFFIXES)
            numbers = [re.search(r"(\d+)$", path.stem) for path in files]
            for order, (path, number) in enumerate(zip(files, numbers, strict=True)):
                yield Entry(path, int(number[1]) if number and all(numbers) else order, "", None)
            return
        columns = "columns file, index, label"
        try:
            rows = list(csv.DictReader(io.StringIO(read_text(manifest, columns), newline="")))
            for order, row in enumerate(rows):
                if not row.get("file"):
                    raise DataError(f"{manifest}: line {order + 2} names no file; expected a column file")
                index, label = row.get("index"), row.get("label")
                yield Entry(
                    self._path / row["file"],
                    int(index) if index else order,
                    row.get("clean_sha256") or "",
                    int(label) if label else None,
                )
        except (ValueError, csv.Error) as error:
            raise DataError(f"{manifest} cannot be read: {error}; expected {columns}") from None

    @cached_property
    def _by_hash(self) -> dict[str, Entry]:
        """Entries by the hash of their clean image; empty unless all have one."""
        if not all(entry.clean_sha256 for entry in self._entries):
            return {}
        return {entry.clean_sha256: entry for entry in self._entries}

    @cached_property
    def _by_index(self) -> dict[int, Entry]:
        return {entry.position: entry for entry in self._entries}

    def _name(self, entry: Entry) -> str:
        return str(entry.place) if isinstance(entry.place, Path) else f"image {entry.place} of {self._path}"

    def _read(self, entry: Entry, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        if not isinstance(entry.place, Path):
            made: NDArray[np.uint8] = self._arrays["images"][entry.place]
            return made
        place = Path(os.path.realpath(str(entry.place).replace("\0", "?")))
        if not place.is_relative_to(os.path.realpath(self._path)):
            raise DataError(f"{entry.place} is outside {self._path}; expected files within the folder")
        if not place.is_file():  # of a pipe or a device nobody knows whether it ever ends
            raise DataError(f"{entry.place} cannot be read: no such file; expected an image")
        try:
            with Image.open(entry.place, formats=FORMATS) as image:
                if image.size != (shape[2], shape[1]):  # before it is unpacked
                    raise DataError(
                        f"{entry.place} has shape {(3, *image.size[::-1])}, the test image {shape}; expected the same "
                        "size"
                    )
                return np.array(image.convert("RGB")).transpose(2, 0, 1)
        except DataError:
            raise
        except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
            raise DataError(f"{entry.place} cannot be read: {error}") from None


def _hash(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
