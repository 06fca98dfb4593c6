"""Divide photographs: into training, validation and test images, with copies of the study's where it had them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.folder.index import Index
from robench_plugins.datasets.readers.near_duplicates import near_duplicates
from robench_plugins.datasets.readers.splits import FOLDS, fair_order, locked, study

Positions = NDArray[np.int64]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Divided:
    """The images of each split.

    Attributes:
        photographs: For each image the position of its photograph in the index, ``int64 (N,)``.
        copies: The number of each among the copies of its photograph, 0 for the photograph itself, ``int64 (N,)``.
        splits: The positions of the images of each split, in order.
        notes: What was kept together, dropped or leaked.
    """

    photographs: Positions
    copies: Positions
    splits: dict[str, Positions]
    notes: tuple[str, ...]


@lru_cache(maxsize=8)
def divide(index: Index, protocol: str, seed: int, alike: int | Literal["off"], balance: int, where: str) -> Divided:
    """Return the images of each split.

    Args:
        protocol: ``locked``, ``study`` or ``test``.
        seed: Another one divides otherwise.
        alike: Bits in which the hashes of near-duplicates may differ, which stay in one part.
        balance: With ``study``, images of each class before they are divided.
        where: What messages call the data.

    Raises:
        DataError: It comes divided and `protocol` divides by itself, or a class is too small.
    """
    photographs = np.arange(len(index.files))
    copies = np.zeros_like(photographs)
    notes: list[str] = []
    if protocol != "locked" and index.parts.any():
        cure = (
            "pass one folder of classes"
            if protocol == "study"
            else "pass the folder of one part, such as path=DIR/test"
        )
        does = "splits by itself" if protocol == "study" else "takes all images as test images"
        raise DataError(f"{where} comes split; protocol={protocol} {does}: {cure}")
    if protocol == "study":
        if balance:
            photographs, copies = _balance(index.labels, balance, seed)
        splits = study(index.labels[photographs], seed)
        notes.append(_leak(photographs, splits))
    elif protocol == "test":
        splits = {**dict.fromkeys(SPLITS, np.empty(0, np.int64)), "test": photographs}
    else:
        groups = photographs if alike == "off" else near_duplicates(index.hashes, alike)
        splits, notes = _keep_apart(index, groups, alike != "off", seed)
    labels = index.labels[photographs]
    for name, positions in splits.items():
        counts = np.bincount(labels[positions], minlength=len(index.class_names))
        lacking = [index.class_names[label] for label in np.flatnonzero(counts == 0)]
        if not lacking or not len(positions):
            continue
        if index.loose and name in index.parts:
            notes.append(f"no {name} image of {len(lacking)} classes: {', '.join(lacking[:3])}")
            continue
        alone = "" if alike == "off" else ", of which near-duplicates stay together"
        cure = "" if alike == "off" else ", or pass a smaller alike= if they are different pictures"
        raise DataError(
            f"no photograph of {lacking[0]} is left for {name}: it has "
            f"{int((index.labels == index.class_names.index(lacking[0])).sum())}{alone}; add photographs{cure}"
        )
    ordered = {name: fair_order(positions, labels, seed) for name, positions in splits.items()}
    return Divided(photographs=photographs, copies=copies, splits=ordered, notes=tuple(notes))


def _keep_apart(index: Index, groups: Positions, told: bool, seed: int) -> tuple[dict[str, Positions], list[str]]:
    """Divide what does not come divided; of near-duplicates across parts that do, the training image is dropped."""
    notes = []
    if told:
        sizes = np.bincount(groups)
        together = int(sizes[sizes > 1].sum())
        notes.append(
            f"{int((sizes > 1).sum())} groups of near-duplicates, {together} photographs, kept on one side each"
        )
    free = np.flatnonzero(np.isin(index.parts, ("", "train")))
    given = {part: np.flatnonzero(index.parts == part) for part in ("validation", "test") if part in index.parts}
    nothing = np.empty(0, dtype=np.int64)
    if not len(free):
        return {**dict.fromkeys(SPLITS, nothing), **given}, notes
    twins = np.isin(groups[free], groups[np.concatenate([nothing, *given.values()])])
    if twins.any():
        notes.append(f"{int(twins.sum())} training photographs dropped: near-duplicates of validation or test ones")
    free = free[~twins]
    missing = tuple(part for part in ("validation", "test") if part not in given)
    if missing == ("validation",) and np.bincount(index.labels[free]).min() < FOLDS:
        notes.append(f"no validation images: a class has fewer than {FOLDS} training images to take them from")
        return {"train": free, "validation": nothing, **given}, notes
    if not missing:
        return {"train": free, **given}, notes
    carved = locked(index.labels[free], groups[free], missing, seed)
    return {**{part: free[positions] for part, positions in carved.items()}, **given}, notes


def _balance(labels: Positions, target: int, seed: int) -> tuple[Positions, Positions]:
    """Return `target` images of each class as photographs and numbers of copies."""
    random = np.random.RandomState(seed)
    photographs, copies = [], []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        photographs.append(np.resize(members, target))
        copies.append(np.arange(target) // len(members))
    return np.concatenate(photographs), np.concatenate(copies).astype(np.int64)


def _leak(photographs: Positions, splits: dict[str, Positions]) -> str:
    scored = photographs[splits["validation"]]
    leaked = int(np.isin(scored, photographs[splits["train"]]).sum())
    note = "the test images are the validation images, by which the weights were chosen"
    return note + (f"; {leaked} of {len(scored)} show a photograph also trained on" if leaked else "")
