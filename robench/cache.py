"""Adversarial sets on disk, named by the hash of all that decides them, so that every run can share them.

A set is a folder ``adversarial/<key>/`` with ``images.npy`` (``uint8``, memory-mapped on reading) and
``meta.json``. It appears by one rename, so a kill leaves either a whole set or none; a lock per key keeps two
processes from making the same set twice; a set whose bytes do not match its hash is put aside and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from robench.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class AdversarialSet:
    """Adversarial images ``uint8 (N, 3, H, W)``, with what their maker noted and their hash."""

    images: NDArray[np.uint8]
    notes: dict[str, Any]
    sha256: str
    cached: bool


class AdversarialCache:
    """Content-addressed adversarial sets under a cache folder."""

    def __init__(self, cache_dir: Path, warn: Callable[[str], None]) -> None:
        self.folder = cache_dir / "adversarial"
        self.warn = warn

    def get(
        self, identity: dict[str, Any], make: Callable[[], tuple[NDArray[np.uint8], dict[str, Any]]]
    ) -> AdversarialSet:
        """Return the set that `identity` names, calling `make` for images and notes if it is not there.

        Raises:
            DataError: The cache cannot be written.
        """
        canonical = json.dumps(identity, sort_keys=True)
        key = hashlib.sha256(canonical.encode()).hexdigest()[:24]
        path = self.folder / key
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{key}.lock"):
                found = self._read(path)
                if found is not None:
                    return found
                for leftover in self.folder.glob(f"{key}.*.tmp"):  # of a maker that was killed
                    shutil.rmtree(leftover, ignore_errors=True)
                images, notes = make()
                sha256 = self._write(path, images, {"identity": identity, "notes": notes})
        except OSError as error:
            raise DataError(
                f"cannot write the cache {self.folder}: {error.strerror or error}; pass --cache-dir DIR"
            ) from None
        return AdversarialSet(images=images, notes=notes, sha256=sha256, cached=False)

    def _read(self, path: Path) -> AdversarialSet | None:
        if not path.is_dir():
            return None
        try:
            meta = json.loads((path / "meta.json").read_text())
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            if hash_images(images) != meta["sha256"]:
                raise ValueError("its bytes do not match its hash")
            return AdversarialSet(images=images, notes=meta["notes"], sha256=meta["sha256"], cached=True)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            aside = Path(tempfile.mkdtemp(dir=self.folder, prefix="damaged-"))
            path.replace(aside / path.name)
            self.warn(f"damaged adversarial set put aside in {aside} and made again: {error}")
            return None

    def _write(self, path: Path, images: NDArray[np.uint8], meta: dict[str, Any]) -> str:
        temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{path.name}.", suffix=".tmp"))
        try:
            sha256 = hash_images(images)
            with (temporary / "images.npy").open("wb") as file:
                np.save(file, images, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            (temporary / "meta.json").write_text(json.dumps({**meta, "sha256": sha256}, indent=1))
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return sha256


def hash_images(images: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of shape and pixels, reading a memory map piece by piece."""
    digest = hashlib.sha256(f"{images.dtype} {images.shape}".encode())
    for start in range(0, len(images), 4096):
        digest.update(np.ascontiguousarray(images[start : start + 4096]).data)
    return digest.hexdigest()
