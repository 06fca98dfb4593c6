"""The batches of an epoch: which training images are used, in which order, and augmented."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from robench.compute.world import ALONE, Share
from robench.images.augmentation import Recipe, augment
from robench.images.image_set import ImageSet
from robench.images.memory_mapped import let_go

MOST_WORKERS = 8
"""Processes that prepare batches."""

Drawn = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""A batch: ascending positions in the training set ``int64 (N,)``, and the augmented images ``uint8 (N, 3, H, W)``."""


def draw(labels: NDArray[np.int64], balance: int) -> NDArray[np.int64]:
    """Return the positions of an epoch's images ``int64 (n,)``, in random order, drawn from torch's random state.

    Args:
        labels: The labels of all training images, ``int64 (N,)``.
        balance: Images of each class; a smaller class is repeated, and of a larger one a random part is taken. 0 takes
            every image once.
    """
    if not balance:
        return _shuffled(np.arange(len(labels)))
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rounds = [_shuffled(members) for _ in range(-(-balance // len(members)))]
        chosen.append(np.concatenate(rounds)[:balance])
    return _shuffled(np.concatenate(chosen))


def _shuffled(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    shuffled: NDArray[np.int64] = positions[torch.randperm(len(positions)).numpy()]
    return shuffled


def batches(
    train: ImageSet,
    order: NDArray[np.int64],
    size: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    first: int = 0,
    share: Share = ALONE.share,
) -> Iterator[Drawn]:
    """Yield the images at `order`, augmented, in batches of `size`; of each batch only this process's `share`.

    Every image has its own seed, so that its pixels do not depend on the number of workers. Workers prepare batches for
    a GPU; on a CPU there are none.

    Args:
        recipe: How images are augmented.
        seed: Of the augmentation of this epoch.
        first: The number of the first batch to yield.
    """
    epoch = _Epoch(train, order, size, recipe, seed, share)
    workers = min(MOST_WORKERS, os.cpu_count() or 1) if device.type == "cuda" and recipe != "none" else 0
    # Its own generator, because a loader draws a seed for its workers, by default from the state that training uses.
    yield from DataLoader(
        epoch,
        batch_size=None,
        sampler=range(first, len(epoch)),
        num_workers=workers,
        generator=torch.Generator(),
        collate_fn=_as_it_is,
    )


def pieces(drawn: list[Drawn], most: int) -> Iterator[Drawn]:
    """Yield the batches of a step in parts of at most `most` images."""
    for indices, images in drawn:
        for start in range(0, len(indices), most):
            yield indices[start : start + most], images[start : start + most]


def _as_it_is(drawn: Any) -> Any:
    return drawn


class _Epoch(Dataset[Drawn]):
    """The batches of an epoch, by their numbers."""

    def __init__(
        self, train: ImageSet, order: NDArray[np.int64], size: int, recipe: Recipe, seed: int, share: Share
    ) -> None:
        self.train, self.order, self.size = train, order, size
        self.recipe, self.seed, self.share = recipe, seed, share

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __getitem__(self, number: int) -> Drawn:
        if number >= len(self):
            raise IndexError(number)
        start = number * self.size
        # Ascending, because a memory map is read fastest in order.
        indices = np.sort(self.order[start : start + self.size])
        seeds = self.seed + start + np.arange(len(indices))
        mine = self.share(len(indices))
        images = self.train.images[indices[mine]]
        let_go(self.train.images)
        return indices[mine], augment(images, seeds[mine], self.recipe)
