"""Divide photographs into training, validation and test images."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from robench import DataError
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

Positions = NDArray[np.int64]

FOLDS = 10
"""One of ten parts is for testing, one for validation: 80 / 10 / 10."""


def locked(labels: Positions, groups: Positions, parts: tuple[str, ...], seed: int) -> dict[str, Positions]:
    """Return the positions of ``train`` and of each of `parts`, a tenth each, stratified; groups stay whole.

    Args:
        labels: ``int64 (N,)``.
        groups: ``int64 (N,)``, as of :func:`near_duplicates`.
        parts: What is carved off beside the training images: ``validation``, ``test`` or both.

    Raises:
        DataError: A class is too small, or too much alike, to be in each of them.
    """
    splitter = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes of fewer than ten, which are judged below
        try:
            folds = [held_out for _, held_out in splitter.split(labels, labels, groups)]
        except ValueError as error:
            raise DataError(
                f"the photographs cannot be split in {FOLDS} parts: near-duplicates stay together, and there are only "
                f"{len(np.unique(groups))} groups of them; pass a smaller alike=, such as alike=20, if they are "
                "different pictures"
            ) from error
    found = {part: folds[number].astype(np.int64) for number, part in enumerate(parts)}
    found["train"] = np.concatenate(folds[len(parts) :]).astype(np.int64)
    return found


def study(labels: Positions, seed: int) -> dict[str, Positions]:
    """Return the study's split: 90 % ``train``, 10 % ``validation``, stratified; testing uses validation again.

    Raises:
        DataError: A class has fewer than two photographs.
    """
    try:
        train, held_out = train_test_split(np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=seed)
    except ValueError as error:
        raise DataError(f"the photographs cannot be split 90 / 10: {error}") from error
    return {"train": train, "validation": held_out, "test": held_out}


def fair_order(positions: Positions, labels: Positions, seed: int) -> Positions:
    """Return `positions` in a random order whose every prefix has the classes in about their shares."""
    random = np.random.RandomState(seed)
    shuffled = positions[random.permutation(len(positions))]
    place = np.empty(len(shuffled))
    for label in np.unique(labels[shuffled]):
        members = np.flatnonzero(labels[shuffled] == label)
        place[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    return shuffled[np.argsort(place, kind="stable")]
