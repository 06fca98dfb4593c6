"""The dataset `leaf`: its parameters, how photographs are divided, and its splits."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from robench import DataError, Dataset, Field, ImageSet, Params, augment

from robench_plugins.datasets.leaf.index import Index, look_through
from robench_plugins.datasets.leaf.names import prompts_for
from robench_plugins.datasets.leaf.near_duplicates import BITS, near_duplicates
from robench_plugins.datasets.leaf.splits import fair_order, locked, study
from robench_plugins.datasets.readers.photographs import read_photograph, to_square

ALIKE = 76


class LeafParams(Params):
    """Where the photographs are and how they are divided."""

    path: str = Field(description="folder of class folders, or of train, validation and test folders of them")
    size: int = Field(
        default=64, ge=16, le=1024, description="height and width in pixels that photographs are brought to"
    )
    protocol: Literal["locked", "study"] = Field(
        default="locked",
        description="locked: 80/10/10, near-duplicates on one side; study: 90/10 and tested on the validation images",
    )
    split_seed: int = Field(default=0, ge=0, description="another seed divides the photographs otherwise")
    alike: int = Field(
        default=ALIKE, ge=0, lt=BITS, description=f"bits of {BITS} in which the hashes of near-duplicates may differ"
    )
    balance: int = Field(
        default=0,
        ge=0,
        description="with protocol=study: augmented or dropped to this many a class before splitting, as the study did",
    )

    @model_validator(mode="after")
    def _locked_does_not_leak(self) -> Self:
        if self.balance and self.protocol != "study":
            raise ValueError(
                f"balance={self.balance} before splitting leaks copies into the scored images, so it needs "
                "protocol=study; balance=... of a tuner balances training images alone"
            )
        return self


class Leaf(Dataset):
    """Photographs in class folders, such as PlantVillage's tomato leaves: cropped to squares of ``size`` pixels.

    ``locked`` keeps near-duplicates, which are mostly further photographs of one leaf, on one side of a split.
    ``study`` repeats the study: no test split, no care for duplicates and, with ``balance``, augmented copies made
    before the photographs are divided.

    Source: Hughes and Salathe, "An open access repository of images on plant health", 2015 (arXiv:1511.08060).
    """

    Params = LeafParams
    params: LeafParams

    def __init__(self, params: LeafParams | None = None) -> None:
        super().__init__(params)
        self._index = look_through(Path(self.params.path).expanduser())
        self._divided = _divide(self._index, self.params)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes; those of PlantVillage's tomatoes are called, and ordered, as in `leaf-synth`."""
        return self._index.class_names

    def size(self, name: str) -> int:
        """Return how many images a split has."""
        return len(self._divided.splits[name])

    def notes(self) -> tuple[str, ...]:
        """Return what was skipped, converted, kept together or leaked."""
        return (*self._index.notes, *self._divided.notes)

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Read the first `limit` photographs of a split.

        Raises:
            DataError: The split has fewer, or a file has become unreadable.
        """
        there = self.size(name)
        if limit is not None and limit > there:
            option = "--train-size" if name == "train" else "--test-size"
            raise DataError(f"leaf has {there:,} {name} images; {limit:,} were asked for ({option} all takes all)")
        chosen = self._divided.splits[name][:limit]
        photographs, copies = self._divided.photographs[chosen], self._divided.copies[chosen]
        images = np.stack([to_square(read_photograph(self._index.files[at]), self.params.size) for at in photographs])
        copied = np.flatnonzero(copies)
        # A copy's number and its photograph decide what it looks like, in whichever split it lands.
        seeds = photographs[copied] * 100_000 + copies[copied]
        images[copied] = augment(images[copied], seeds, "study-cnn")
        return ImageSet(images=images, labels=self._index.labels[photographs])

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return captions of a healthy leaf, or of one with the condition."""
        return tuple(prompts_for(name) for name in self.class_names)


class _Divided:
    """Images as photographs and numbers of copies, 0 for the photograph itself, and the splits as positions in them."""

    def __init__(
        self,
        photographs: NDArray[np.int64],
        copies: NDArray[np.int64],
        splits: dict[str, NDArray[np.int64]],
        notes: tuple[str, ...],
    ) -> None:
        self.photographs, self.copies, self.splits, self.notes = photographs, copies, splits, notes


@lru_cache(maxsize=8)
def _divide(index: Index, params: LeafParams) -> _Divided:
    photographs = np.arange(len(index.files))
    copies = np.zeros_like(photographs)
    notes = []
    if small := int((index.shorter_sides < params.size).sum()):
        notes.append(f"{small} photographs enlarged: their shorter side is below {params.size} pixels")
    if params.protocol == "study":
        if index.parts.any():
            raise DataError(f"{params.path} comes split; protocol=study splits by itself: pass one folder of classes")
        if params.balance:
            photographs, copies = _balance(index.labels, params.balance, params.split_seed)
        splits = study(index.labels[photographs], params.split_seed)
        notes.append(_leak(photographs, splits))
    else:
        groups = near_duplicates(index.hashes, params.alike)
        splits, found = _keep_apart(index, groups, params.split_seed)
        notes += found
    labels = index.labels[photographs]
    for name, positions in splits.items():
        for label, count in enumerate(np.bincount(labels[positions], minlength=len(index.class_names))):
            if not count:
                raise DataError(
                    f"no photograph of {index.class_names[label]} is left for {name}: it has "
                    f"{int((labels == label).sum())}, of which near-duplicates stay together; add photographs, or "
                    "pass a smaller alike= if they are different pictures"
                )
    ordered = {name: fair_order(positions, labels, params.split_seed) for name, positions in splits.items()}
    return _Divided(photographs, copies, ordered, tuple(notes))


def _keep_apart(index: Index, groups: NDArray[np.int64], seed: int) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Divide what does not come divided; of near-duplicates across parts that do, the training image is dropped."""
    sizes = np.bincount(groups)
    together = int(sizes[sizes > 1].sum())
    notes = [f"{int((sizes > 1).sum())} groups of near-duplicates, {together} photographs, kept on one side each"]
    free = np.flatnonzero(np.isin(index.parts, ("", "train")))
    given = {part: np.flatnonzero(index.parts == part) for part in ("validation", "test") if part in index.parts}
    scored = np.concatenate([np.empty(0, dtype=np.int64), *given.values()])
    twins = np.isin(groups[free], groups[scored])
    if twins.any():
        notes.append(f"{int(twins.sum())} training photographs dropped: near-duplicates of validation or test ones")
    free = free[~twins]
    missing = tuple(part for part in ("validation", "test") if part not in given)
    if not missing:
        return {"train": free, **given}, notes
    carved = locked(index.labels[free], groups[free], missing, seed)
    return {**{part: free[positions] for part, positions in carved.items()}, **given}, notes


def _balance(labels: NDArray[np.int64], target: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `target` images of each class as photographs and numbers of copies."""
    random = np.random.RandomState(seed)
    photographs, copies = [], []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        photographs.append(np.resize(members, target))
        copies.append(np.arange(target) // len(members))
    return np.concatenate(photographs), np.concatenate(copies).astype(np.int64)


def _leak(photographs: NDArray[np.int64], splits: dict[str, NDArray[np.int64]]) -> str:
    scored = photographs[splits["validation"]]
    leaked = int(np.isin(scored, photographs[splits["train"]]).sum())
    note = "the test images are the validation images, by which the weights were chosen"
    return note + (f"; {leaked} of {len(scored)} show a photograph also trained on" if leaked else "")
