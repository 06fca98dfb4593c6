"""The original ``cifar-10-batches-py``: pickled arrays, read without executing anything."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError

FILES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every global but the few that arrays need, so a malicious file can do nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")
        return super().find_class(module, name)


class BatchesSource:
    """``data_batch_1`` to ``data_batch_5`` and ``test_batch``, each ``uint8 (10000, 3072)`` with labels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}

    @classmethod
    def open(cls, root: Path) -> BatchesSource | None:
        """Return a source if `root`, or ``cifar-10-batches-py`` in it, holds a test batch."""
        for folder in (root, root / "cifar-10-batches-py"):
            if (folder / "test_batch").is_file():
                return cls(folder)
        return None

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""
        return self._load(part)[1]

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at `positions`, ``uint8 (n, 3, 32, 32)``."""
        return self._load(part)[0][positions]

    def _load(self, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if part not in self._parts:
            batches = [self._read(self._folder / name) for name in FILES[part]]
            images = np.concatenate([images for images, _ in batches])
            self._parts[part] = images, np.concatenate([labels for _, labels in batches])
        return self._parts[part]

    def _read(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        try:
            with path.open("rb") as file:
                batch = _ArraysOnly(file, encoding="bytes").load()
            images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            labels = np.asarray(batch[b"labels"], dtype=np.int64)
        except (
            OSError,
            EOFError,
            pickle.UnpicklingError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            raise DataError(f"{path} is not a CIFAR-10 batch: {error}") from error
        if len(images) != len(labels):
            raise DataError(f"{path} has {len(images)} images but {len(labels)} labels")
        return images, labels
