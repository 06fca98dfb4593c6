"""Captioned images of the four data sets of the suite offline, for pretraining one model on all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from robench_plugins.datasets.digits import SIZES as DIGITS
from robench_plugins.datasets.digits import Digits
from robench_plugins.datasets.drawn import Shapes, Textures
from robench_plugins.datasets.drawn.canvas import Drawn
from robench_plugins.make_weights.leaf_source import PRETRAIN_SPLIT, leaf_source
from robench_plugins.make_weights.source import Source


def offline_source(*, seed: int = 0, n_leaves: int = 20_000, n_drawn: int = 8_000, n_digits: int = 8_000) -> Source:
    """Return captioned leaves, shapes, textures and digits; the classes of all are told apart together.

    Drawn images come from a random stream of their own; no image of a split of the benchmark is among them. There are
    only 1,000 digits to train on, the train split, so that they are repeated up to `n_digits`.
    """
    leaves = leaf_source(seed=seed, n_images=n_leaves, n_validation=500)
    parts = [leaves]
    for kind in (Shapes, Textures):
        drawn = kind(kind.Params())
        parts.append(_part(drawn.prompts(), _drawn(drawn, PRETRAIN_SPLIT, n_drawn), _drawn(drawn, "validation", 496)))
    digits = Digits(Digits.Params())
    train = np.arange(n_digits) % DIGITS["train"]
    parts.append(_part(digits.prompts(), _pair(digits, "train", train), _pair(digits, "validation", np.arange(200))))
    return _joined(parts)


_Pair = tuple[NDArray[np.uint8], NDArray[np.int64]]


def _drawn(dataset: Drawn, split: str, n: int) -> _Pair:
    """Draw `n` images of any stream, whose classes take turns."""
    labels = np.arange(n, dtype=np.int64) % len(dataset.looks)
    return dataset.paint(split, np.arange(n), labels), labels


def _pair(dataset: Digits, split: str, positions: NDArray[np.int64]) -> _Pair:
    found = dataset.take(split, positions)
    return found.images, found.labels


def _part(prompts: tuple[tuple[str, ...], ...], train: _Pair, validation: _Pair) -> Source:
    return Source(
        images=torch.from_numpy(train[0]),
        labels=torch.from_numpy(train[1]),
        captions=tuple(prompts[label] for label in train[1]),
        class_prompts=prompts,
        validation_images=torch.from_numpy(validation[0]),
        validation_labels=torch.from_numpy(validation[1]),
    )


def _joined(parts: Sequence[Source]) -> Source:
    """Return all parts as one, with the classes of each after those of the parts before it."""
    starts = np.cumsum([0, *(len(part.class_prompts) for part in parts)]).tolist()
    return Source(
        images=torch.cat([part.images for part in parts]),
        labels=torch.cat([part.labels + start for part, start in zip(parts, starts, strict=False)]),
        captions=tuple(caption for part in parts for caption in part.captions),
        class_prompts=tuple(prompts for part in parts for prompts in part.class_prompts),
        validation_images=torch.cat([part.validation_images for part in parts]),
        validation_labels=torch.cat(
            [part.validation_labels + start for part, start in zip(parts, starts, strict=False)]
        ),
    )
