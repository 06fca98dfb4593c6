"""Adversarial sets on disk, named by the hash of all that decides them, so that every run can share them.

A set is a folder ``adversarial/<key>/`` with ``images.npy`` (``uint8``, memory-mapped on reading) and
``meta.json``. It appears by one rename, so a kill leaves a whole set or none. A lock for each key keeps two processes
from making the same set. A set whose bytes do not match its hash is put aside and made again.

Where machines share a cache by its URL, this folder holds copies. There a set is ``adversarial/<key>/<sha256>.npy`` and
``adversarial/<key>/meta.json``; the second is written last, and only if it does not exist. Two machines may make the
same set at the same time, and both use the one that was published first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from robench.compute.world import ALONE, World
from robench.errors import DataError
from robench.images.memory_mapped import parts_of, save_images
from robench.storage.plain_file import read_plain, require_plain
from robench.storage.shared_folder import SharedFolder
from robench.storage.whole_file import draft_beside, remove_abandoned

MOST_BYTES = 16_000_000
"""Largest file of notes."""


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
        shared: The URL that has the sets of all machines, of which the folder has copies; None for a folder alone.
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
            return self._follow(path, identity, make)
        with self._locked(key):
            found = self._read(path, identity) or self._fetch(path, identity)
            self.world.from_main(found is not None)
            if found is not None:
                return found
            remove_abandoned(self.folder)
            images, notes = make()
            sha256 = self._write(path, images, {"identity": identity, "notes": notes})
            theirs = self._publish(path, sha256, identity)
            self.world.from_main(theirs is not None)
            return theirs or AdversarialSet(images=images, notes=notes, sha256=sha256, cached=False)

    def _follow(
        self, path: Path, identity: dict[str, Any], make: Callable[[], tuple[NDArray[np.uint8], dict[str, Any]]]
    ) -> AdversarialSet:
        """Do as the main process, which looks up and writes: read the set that it found, or help to make it."""
        if not self.world.from_main(False):
            images, notes = make()
            if not self.world.from_main(False):
                return AdversarialSet(images=images, notes=notes, sha256=hash_images(images), cached=False)
        with self._locked(f"{path.name}.follow"):  # not the main process's lock, which it may hold again by now
            found = self._read(path, identity) or self._fetch(path, identity)
        if found is None:
            raise DataError(f"not all processes of this run see {path}; pass a --cache-dir DIR that all machines share")
        return found

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{name}.lock"):
                yield
        except OSError as error:
            raise DataError(
                f"cannot write the cache {self.folder}: {error.strerror or error}; pass --cache-dir DIR"
            ) from None

    def _fetch(self, path: Path, identity: dict[str, Any]) -> AdversarialSet | None:
        """Copy the set from the URL in place of any that is here; a damaged one is removed there."""
        if self.shared is None:
            return None
        there = f"adversarial/{path.name}"
        temporary = draft_beside(path)
        temporary.mkdir()
        try:
            meta = self.shared.read(f"{there}/meta.json")
            (temporary / "meta.json").write_bytes(meta)
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
                self.shared.download(f"{there}/{json.loads(meta)['sha256']}.npy", temporary / "images.npy")
            if (found := self._read(temporary, identity)) is None:
                self.shared.remove(f"{there}/meta.json")
                return None
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # another process put its copy there
                temporary.replace(path)
            return found
        except FileNotFoundError:
            return None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _publish(self, path: Path, sha256: str, identity: dict[str, Any]) -> AdversarialSet | None:
        """Give the set at `path` to all machines, or return the one that another machine published first."""
        if self.shared is None:
            return None
        there = f"adversarial/{path.name}"
        self.shared.upload(path / "images.npy", f"{there}/{sha256}.npy")
        while True:
            try:
                self.shared.create(f"{there}/meta.json", (path / "meta.json").read_bytes())
            except FileExistsError:
                if (theirs := self._fetch(path, identity)) is not None:
                    return theirs
            else:
                return None

    def _read(self, path: Path, identity: dict[str, Any]) -> AdversarialSet | None:
        """Return the set at `path`; one that is not what this class writes is put aside."""
        if not os.path.lexists(path):
            return None
        try:
            meta, images = read_set(path)
            if json.dumps(meta["identity"], sort_keys=True) != json.dumps(identity, sort_keys=True):
                raise ValueError("it is of other images or of another attack")
            if not isinstance(meta["notes"], dict):
                raise ValueError("its notes are not a table")
            return AdversarialSet(images=images, notes=meta["notes"], sha256=meta["sha256"], cached=True)
        except Exception as error:  # NumPy and JSON raise many kinds for a file that they did not write
            aside = path.with_name(f"damaged-{uuid.uuid4().hex[:8]}")
            aside.mkdir()
            path.replace(aside / path.name)
            reason = " ".join(str(error).split()) or type(error).__name__
            self.warn(f"damaged adversarial set put aside in {aside} and made again: {reason}")
            return None

    def _write(self, path: Path, images: NDArray[np.uint8], meta: dict[str, Any]) -> str:
        temporary = draft_beside(path)
        temporary.mkdir()
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


def read_set(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Return the notes and the images of the set in the folder `path`; every byte is read.

    Raises:
        Exception: Of any kind, because NumPy and JSON raise many for files that this module did not write.
    """
    meta: dict[str, Any] = json.loads(read_plain(path / "meta.json", MOST_BYTES))
    require_plain(path / "images.npy")
    images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
    if hash_images(images) != meta["sha256"]:
        raise ValueError("its bytes do not match its hash")
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"it holds {images.dtype} {images.shape} instead of images")
    return meta, images


def hash_images(images: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of shape and pixels, reading a memory map piece by piece."""
    digest = hashlib.sha256(f"{images.dtype} {images.shape}".encode())
    for (part,) in parts_of(images):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
