"""Read the original ``cifar-10-batches-py``, pickled arrays, without executing anything.

Unpickling a file runs whatever code its maker put in. torchvision's CIFAR10 unpickles, with an MD5 sum as its only
guard, and so reads no batches but the published ones.
"""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robench import DataError

FILES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


class _Array:
    """Stands for a pickled array of bytes. numpy's own is not used: what it restores can crash the interpreter."""

    def __init__(self, *_: Any) -> None:
        self.content = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran_order, content = state
        if not isinstance(dtype, _Type) or dtype.code not in ("u1", b"u1") or fortran_order:
            raise pickle.UnpicklingError("it holds an array that is not uint8 in C order")
        self.content = np.frombuffer(content, np.uint8).reshape(shape)


class _Type:
    """Stands for a pickled dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment: bytes have none."""


def _encode(text: str, encoding: str) -> bytes:
    """Stand for ``codecs.encode``, by which Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every global but those that arrays need, and replaces these, so a malicious file can do nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")
        return STAND_INS[module, name]


class BatchesSource:
    """``data_batch_1`` to ``data_batch_5`` and ``test_batch``, each ``uint8 (10000, 3072)`` with labels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: tuple[str, ...] = ()
        self._parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}

    @classmethod
    def open(cls, root: Path) -> BatchesSource | None:
        """Return a source if `root`, or ``cifar-10-batches-py`` in it, holds a test batch."""
        for folder in (root, root / "cifar-10-batches-py"):
            if (folder / "test_batch").is_file():
                return cls(folder)
        return None

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names in ``batches.meta``; None without that file.

        Raises:
            DataError: It is damaged, or something else.
        """
        path = self._folder / "batches.meta"
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                names = _ArraysOnly(file, encoding="bytes").load()[b"label_names"]
            return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
        except Exception as error:  # a damaged stream leads the reader to any of them
            raise DataError(f"{path} does not name classes: {error}") from error

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
            images = batch[b"data"].content.reshape(-1, 3, 32, 32)
            labels = np.array(batch[b"labels"])
            if labels.dtype.kind not in "iu" or labels.ndim != 1:
                raise ValueError("its labels are not a list of whole numbers")
        except Exception as error:  # a damaged stream leads the reader to any of them
            raise DataError(f"{path} is not a CIFAR-10 batch: {error}") from error
        if len(images) != len(labels):
            raise DataError(f"{path} has {len(images)} images but {len(labels)} labels")
        return images, labels.astype(np.int64)
