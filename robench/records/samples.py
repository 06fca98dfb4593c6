"""What figures need besides the record: a few sample images with their logits, and all predictions.

They are in ``results/samples/RUN_ID.safetensors``, about 150 KB for 10,000 images of 32 pixels under two attacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError
from robench.storage.whole_file import whole_file

LIMIT = 10
"""Most sample images of a run; at most one a class is kept."""
CLASSES = ("labels", "predictions")
"""Ends of the names of arrays that hold classes; the file has them as ``int32``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackSamples:
    """The sample images under one attack.

    Attributes:
        label: The attack's label, as in the record.
        images: ``uint8 (k, 3, H, W)``.
        logits: ``float32 (k, n_classes)``.
        predictions: Predicted class of every attacked image, ``int64 (n,)``.
    """

    label: str
    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    predictions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The sample images of one run, clean and attacked.

    Attributes:
        labels: Label of every scored image, ``int64 (n,)``.
        indices: The positions of the samples among the scored images, ``int64 (k,)``.
        clean: The samples, ``uint8 (k, 3, H, W)``.
        logits: Their logits, ``float32 (k, n_classes)``.
        predictions: Predicted class of every clean image, ``int64 (n,)``.
        attacks: The samples under each attack, in the order of the record.
        temperature: Logits divided by it are cosines; None for a model without text.
        augmented: Training images, each followed by augmented copies, ``uint8 (k, copies + 1, 3, H, W)``; None if
            training does not augment.
        patches: The embedded patches of the first sample, ``float32 (P, D)``; None if the network has none.
    """

    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    clean: NDArray[np.uint8]
    logits: NDArray[np.float32]
    predictions: NDArray[np.int64]
    attacks: tuple[AttackSamples, ...]
    temperature: float | None
    augmented: NDArray[np.uint8] | None = None
    patches: NDArray[np.float32] | None = None

    def save(self, path: Path) -> None:
        """Write the file, completely or not at all.

        Raises:
            DataError: The disk is full or read-only.
        """
        from safetensors.numpy import save_file

        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        for number, attack in enumerate(self.attacks):
            arrays |= {f"{number}.{name}": value for name, value in vars(attack).items() if name != "label"}
        for name, array in arrays.items():
            arrays[name] = np.ascontiguousarray(array, np.int32 if name.endswith(CLASSES) else None)
        about = {"attacks": [attack.label for attack in self.attacks], "temperature": self.temperature}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary:
                save_file(arrays, temporary, {"about": json.dumps(about)})
        except OSError as error:
            raise DataError(f"cannot save samples to {path}: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: The file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                about = json.loads((file.metadata() or {})["about"])
            arrays |= {name: array.astype(np.int64) for name, array in arrays.items() if name.endswith(CLASSES)}
            attacks = tuple(
                AttackSamples(label=label, **_named(arrays, f"{number}."))
                for number, label in enumerate(about["attacks"])
            )
            own = {name: array for name, array in arrays.items() if "." not in name}
            return cls(attacks=attacks, temperature=about["temperature"], **own)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"samples in {path} cannot be read: {error}") from None


def _named(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def samples_path(results: Path, run_id: str) -> Path:
    """Return the file of the samples of a run."""
    return results / "samples" / f"{run_id}.safetensors"


def choose(labels: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the indices of the first image of each class among the first `n`, at most ``LIMIT`` of them."""
    _, first = np.unique(labels[:n], return_index=True)
    return first[:LIMIT].astype(np.int64)
