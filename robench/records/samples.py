"""What figures need besides the record: a few sample images with their logits, and all predictions.

They are in ``results/samples/RUN_ID.safetensors``, about 150 KB for 10,000 images of 32 pixels under two attacks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError
from robench.records.record import RunResult
from robench.storage.plain_file import parse_json, require_plain
from robench.storage.whole_file import whole_file

MOST_BYTES = 256_000_000
"""Largest file of samples."""
MOST_SAMPLES, MOST_SIDE = 1000, 4096
"""Most sample images that are shown, and most pixels along a side of one."""
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
        names: What every scored image is called, such as its file; empty if images have no names.
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
    names: tuple[str, ...] = ()

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
        about |= {"names": list(self.names)} if self.names else {}
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
            DataError: The file is missing or damaged, or its arrays are not of the types and shapes above.
        """
        from safetensors import SafetensorError, safe_open

        try:
            require_plain(path, MOST_BYTES)
            with safe_open(path, framework="np") as file:
                with path.open("rb") as raw:  # safetensors takes the last of two keys
                    parse_json(raw.read(int.from_bytes(raw.read(8), "little")))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                about = parse_json((file.metadata() or {})["about"])
            arrays |= {name: array.astype(np.int64) for name, array in arrays.items() if name.endswith(CLASSES)}
            attacks = tuple(
                AttackSamples(label=label, **_named(arrays, f"{number}."))
                for number, label in enumerate(about["attacks"])
            )
            own = {name: array for name, array in arrays.items() if "." not in name}
            made = cls(attacks=attacks, temperature=about["temperature"], names=tuple(about.get("names", ())), **own)
        except OSError as error:
            raise DataError(f"samples in {path} cannot be read: {error.strerror or error}") from None
        except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error)[:400] or type(error).__name__
            raise DataError(f"samples in {path} cannot be read: {reason}") from None
        if wrong := next(made.contradictions(), None):
            raise DataError(f"samples in {path} cannot be read: {wrong}")
        return made

    def contradictions(self) -> Iterator[str]:
        """Yield what keeps figures from showing these samples."""
        k, shape = len(self.indices) if self.indices.ndim == 1 else -1, self.clean.shape
        if self.labels.ndim != 1 or self.indices.dtype != np.int64 or not 0 <= k <= MOST_SAMPLES:
            yield "labels and indices are not lists of whole numbers"
            return
        if any(not isinstance(attack.label, str) or len(attack.label) > 10_000 for attack in self.attacks):
            yield "an attack's label is not a short text"
        named = all(isinstance(name, str) and len(name) <= 10_000 for name in self.names)
        if self.names and not (named and len(self.names) == len(self.labels)):
            yield f"names are not {len(self.labels)} short texts"
        if self.temperature is not None and not (
            type(self.temperature) is float and math.isfinite(self.temperature) and self.temperature > 0
        ):
            yield "the temperature is not a positive number"
        for images in (self.clean, *(attack.images for attack in self.attacks)):
            if images.dtype != np.uint8 or images.shape != shape or not _is_pictures(shape, (k,)):
                yield f"images are {images.dtype} {images.shape}; expected uint8 ({k}, 3, H, W), all alike"
        for logits in (self.logits, *(attack.logits for attack in self.attacks)):
            fits = logits.dtype == np.float32 and logits.ndim == 2 and (not k or logits.shape == self.logits.shape)
            if not fits or (k and (len(logits) != k or not logits.shape[1])) or not np.isfinite(logits).all():
                yield f"logits are {logits.dtype} {logits.shape}; expected finite float32 ({k}, n_classes)"
        for predictions in (self.predictions, *(attack.predictions for attack in self.attacks)):
            if predictions.ndim != 1 or len(predictions) > len(self.labels):
                yield f"predictions are {predictions.shape}; expected one for each of {len(self.labels)} labels at most"
            elif (predictions < 0).any():
                yield "a prediction is below 0"
        if (self.labels < 0).any() or (k and not 0 <= self.indices.min() <= self.indices.max() < len(self.labels)):
            yield "a label or an index is out of range"
        if (augmented := self.augmented) is not None and not (
            augmented.dtype == np.uint8
            and augmented.ndim == 5
            and _is_pictures(augmented.shape[1:], augmented.shape[1:2])
        ):
            yield f"augmented images are {augmented.dtype} {augmented.shape}; expected uint8 (k, copies + 1, 3, H, W)"
        if (patches := self.patches) is not None and not (
            patches.dtype == np.float32 and patches.ndim == 2 and patches.size and np.isfinite(patches).all()
        ):
            yield f"patches are {patches.dtype} {patches.shape}; expected finite float32 (P, D)"


def _is_pictures(shape: tuple[int, ...], first: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[:2] == (*first, 3) and all(0 < side <= MOST_SIDE for side in shape[2:])


def read_samples(path: Path, record: RunResult) -> Samples:
    """Read the samples of `record`.

    Raises:
        DataError: The file is missing or damaged, or has other images, classes or attacks than the record.
    """
    if path.parent.is_symlink():
        raise DataError(f"samples in {path} cannot be read: {path.parent.name} is a link, which is not followed")
    samples = Samples.load(path)
    if not _fit(samples, record):
        raise DataError(f"samples in {path} do not fit their record: they have other images, classes or attacks")
    return samples


def _fit(samples: Samples, record: RunResult) -> bool:
    if record.clean is None or record.data is None:
        return False
    if [each.label for each in samples.attacks] != [each.label for each in record.attacks]:
        return False
    n_classes, k = len(record.data.class_names), len(samples.indices)
    fewest = min((score.n for score in record.attacks), default=record.clean.n)
    taken = zip(samples.attacks, record.attacks, strict=True)
    pairs = [(samples.predictions, record.clean.n), *((found.predictions, score.n) for found, score in taken)]
    return (
        samples.labels.shape == (record.clean.n,)
        and bool(samples.labels.max() < n_classes)
        and (not k or (bool(samples.indices.max() < fewest) and samples.logits.shape[1] == n_classes))
        and all(found.shape == (n,) and found.max() < n_classes for found, n in pairs)
    )


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
