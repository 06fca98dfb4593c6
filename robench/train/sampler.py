"""The batches of an epoch: which training images are drawn, in which order, and what becomes of them on the way."""

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

Drawn = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Positions in the training set, ascending, and the images as the network sees them, ``uint8 (N, 3, H, W)``."""


def draw(labels: NDArray[np.int64], balance: int) -> NDArray[np.int64]:
    """Return the positions an epoch visits, in random order, from torch's random state.

    Args:
        labels: Of all training images.
        balance: Images of each class: a smaller class is repeated, a larger one cut to a random part. 0 takes every
            image once.
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
    """Yield the images at `order`, `size` at a time, augmented, from batch number `first` on; `share` of each batch.

    Every image has a seed of its own, so that its pixels do not depend on how many workers prepare them: none beside a
    CPU, which has better to do, and several beside a GPU.
    """
    epoch = _Epoch(train, order, size, recipe, seed, share)
    workers = min(MOST_WORKERS, os.cpu_count() or 1) if device.type == "cuda" and recipe != "none" else 0
    # A generator of its own: a loader draws a seed for its workers, by default from the state that training uses.
    yield from DataLoader(
        epoch,
        batch_size=None,
        sampler=range(first, len(epoch)),
        num_workers=workers,
        generator=torch.Generator(),
        collate_fn=_as_it_is,
    )


def _as_it_is(drawn: Any) -> Any:
    return drawn


class _Epoch(Dataset[Drawn]):
    """Item i is batch i."""

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
        # Ascending, because a memory map is read fastest in its own order.
        indices = np.sort(self.order[start : start + self.size])
        seeds = self.seed + start + np.arange(len(indices))
        mine = self.share(len(indices))
        images = self.train.images[indices[mine]]
        let_go(self.train.images)
        return indices[mine], augment(images, seeds[mine], self.recipe)
