"""Adversarial sets on disk, named by the hash of all that decides them, so that every run can share them.

A set is a folder ``adversarial/<key>/`` with ``images.npy`` (``uint8``, memory-mapped on reading) and
``meta.json``. It appears by one rename, so a kill leaves either a whole set or none; a lock per key keeps two
processes from making the same set twice; a set whose bytes do not match its hash is put aside and made again.

Where machines share a cache by its URL, this folder holds copies; see :mod:`robench.storage.shared_cache`.
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

from robench.compute.world import ALONE, World
from robench.errors import DataError
from robench.images.memory_mapped import parts_of, save_images
from robench.storage.shared_cache import fetch_set, made_once, publish_set, withdraw_set
from robench.storage.shared_folder import SharedFolder


@dataclass(frozen=True, kw_only=True, eq=False)
class AdversarialSet:
    """Adversarial images ``uint8 (N, 3, H, W)``, with what their maker noted and their hash."""

    images: NDArray[np.uint8]
    notes: dict[str, Any]
    sha256: str
    cached: bool


class AdversarialCache:
    """Content-addressed adversarial sets under a cache folder.

    Args:
        cache_dir: The folder.
        warn: Hears of damaged sets.
        shared: The place that has the sets of all machines, of which the folder has copies; None for a folder alone.
        world: The processes that share a run, of which the main one looks up and writes.
    """

    def __init__(
        self, cache_dir: Path, warn: Callable[[str], None], shared: SharedFolder | None = None, world: World = ALONE
    ) -> None:
        self.folder = cache_dir / "adversarial"
        self.warn, self.shared, self.world = warn, shared, world

    def get(
        self, identity: dict[str, Any], make: Callable[[], tuple[NDArray[np.uint8], dict[str, Any]]]
    ) -> AdversarialSet:
        """Return the set that `identity` names, calling `make` for images and notes if it is not there.

        Raises:
            DataError: The cache cannot be written, or reached.
        """
        canonical = json.dumps(identity, sort_keys=True)
        key = hashlib.sha256(canonical.encode()).hexdigest()[:24]
        path = self.folder / key
        if not self.world.is_main:
            return self._follow(path, make)

        def make_here() -> AdversarialSet:
            self.world.from_main(False)  # it was not found: the others take part
            images, notes = make()
            sha256 = self._write(path, images, {"identity": identity, "notes": notes})
            return AdversarialSet(images=images, notes=notes, sha256=sha256, cached=False)

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{key}.lock"):
                found = self._read(path)
                if found is None:
                    for leftover in self.folder.glob(f"{key}.*.tmp"):  # of a maker that was killed
                        shutil.rmtree(leftover, ignore_errors=True)
                    found = make_here() if self.shared is None else self._shared(self.shared, path, make_here)
                if found.cached:
                    self.world.from_main(True)
                return found
        except OSError as error:
            raise DataError(
                f"cannot write the cache {self.folder}: {error.strerror or error}; pass --cache-dir DIR"
            ) from None

    def _shared(self, shared: SharedFolder, path: Path, make_here: Callable[[], AdversarialSet]) -> AdversarialSet:
        """Return the set that all machines share, which one of them makes."""

        def fetch(take_away: bool) -> AdversarialSet | None:
            found = self._read(path) if fetch_set(shared, path) else None
            if found is None and take_away:
                withdraw_set(shared, path.name)
            return found

        def make_for_all() -> AdversarialSet:
            made = make_here()
            if publish_set(shared, path):
                return made
            shutil.rmtree(path)  # one who had the lease before was first after all: everybody uses the same set
            if self.world.size > 1:
                raise DataError(f"another machine made the set {path.name} meanwhile; start the run again to use it")
            return fetch(True) or make_for_all()

        return made_once(shared, path.name, fetch, make_for_all)

    def _follow(self, path: Path, make: Callable[[], tuple[NDArray[np.uint8], dict[str, Any]]]) -> AdversarialSet:
        """Do as the main process, which alone looks up and holds the lock: read what it found, or help to make it."""
        if not self.world.from_main(False):
            images, notes = make()
            return AdversarialSet(images=images, notes=notes, sha256=hash_images(images), cached=False)
        found = self._read(path)
        if found is None and self.shared is not None and fetch_set(self.shared, path):
            found = self._read(path)
        if found is None:
            raise DataError(f"not all processes of this run see {path}; pass a --cache-dir DIR that all machines share")
        return found

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
                save_images(file, images)
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
    for (part,) in parts_of(images):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
