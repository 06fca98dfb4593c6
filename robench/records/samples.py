"""What figures need beyond a record: a few images with their logits, and all predictions, kept beside the records.

``results/samples/RUN_ID.safetensors``, about 150 KB for 10,000 images of 32 pixels under two attacks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError

LIMIT = 10
"""Sample images kept, at most one a class."""
OPTIONAL = ("augmented", "patches")
"""Arrays that not every run has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackSamples:
    """The sample images under one attack.

    Attributes:
        label: The attack's, as in the record.
        images: ``uint8 (k, 3, H, W)``.
        logits: ``float32 (k, n_classes)``.
        predictions: Of every attacked image, ``int64 (n,)``.
    """

    label: str
    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    predictions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Sample images of one run, clean and attacked.

    Attributes:
        labels: Of every scored image, ``int64 (n,)``.
        indices: Which of them are the samples, ``int64 (k,)``.
        clean: The samples, ``uint8 (k, 3, H, W)``.
        logits: ``float32 (k, n_classes)``.
        predictions: Of every clean image, ``int64 (n,)``.
        attacks: In the order of the record.
        temperature: What logits are divided by to be cosines; None for a model without text.
        augmented: Training images before and after augmentation, ``uint8 (k, copies + 1, 3, H, W)``, the original
            first; None if none are augmented.
        patches: What the network makes of the patches of the first sample before its blocks, ``float32 (P, D)``; None
            if it has none.
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
        """Write them, completely or not at all.

        Raises:
            DataError: The disk is full or read-only.
        """
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray[np.generic]] = {
            "labels": self.labels.astype(np.int32),
            "indices": self.indices,
            "clean": self.clean,
            "logits": self.logits,
            "predictions": self.predictions.astype(np.int32),
        }
        arrays |= {name: value for name in OPTIONAL if (value := getattr(self, name)) is not None}
        for number, attack in enumerate(self.attacks):
            arrays |= {
                f"{number}.images": attack.images,
                f"{number}.logits": attack.logits,
                f"{number}.predictions": attack.predictions.astype(np.int32),
            }
        about = {"attacks": [attack.label for attack in self.attacks], "temperature": self.temperature}
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, {"about": json.dumps(about)})
            temporary.replace(path)
        except OSError as error:
            raise DataError(f"cannot save samples to {path}: {error.strerror or error}") from None
        finally:
            temporary.unlink(missing_ok=True)

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
            attacks = tuple(
                AttackSamples(
                    label=label,
                    images=arrays[f"{number}.images"],
                    logits=arrays[f"{number}.logits"],
                    predictions=arrays[f"{number}.predictions"].astype(np.int64),
                )
                for number, label in enumerate(about["attacks"])
            )
            return cls(
                labels=arrays["labels"].astype(np.int64),
                indices=arrays["indices"],
                clean=arrays["clean"],
                logits=arrays["logits"],
                predictions=arrays["predictions"].astype(np.int64),
                attacks=attacks,
                temperature=about["temperature"],
                **{name: arrays[name] for name in OPTIONAL if name in arrays},
            )
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"samples in {path} cannot be read: {error}") from None


def samples_path(results: Path, run_id: str) -> Path:
    """Return where the samples of a run are kept."""
    return results / "samples" / f"{run_id}.safetensors"


def choose(labels: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the indices of the first image of each class among the first `n`, at most ``LIMIT`` of them."""
    _, first = np.unique(labels[:n], return_index=True)
    return first[:LIMIT].astype(np.int64)
