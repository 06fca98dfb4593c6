"""The images of a run, and what its record says about them."""

from __future__ import annotations

import numpy as np

from robench.contracts.context import Progress, RunContext
from robench.contracts.dataset import Dataset, SplitName
from robench.images.image_set import ImageSet, repeated
from robench.records.class_labels import pack_labels
from robench.records.record import DataRecord
from robench.run.dataset_cache import DatasetCache


def load_split(context: RunContext, split: SplitName, size: int, dataset_cache: DatasetCache | None = None) -> ImageSet:
    """Return the first `size` images of a split of the run's dataset, with checked labels.

    Args:
        dataset_cache: Images that an earlier run of this process loaded.
    """
    context.report(Progress(stage="data", done=0, total=size))
    data = (dataset_cache or DatasetCache()).split(context.dataset, split, size)
    data.check_labels(len(context.dataset.class_names))
    context.report(Progress(stage="data", done=size, total=size))
    return data


def data_record(context: RunContext, train: ImageSet | None, test: ImageSet) -> DataRecord:
    """Describe the images of a run; `train` is None if nothing is trained."""
    return DataRecord(
        class_names=context.dataset.class_names,
        image_size=(test.images.shape[2], test.images.shape[3]),
        train_fingerprint=train.fingerprint() if train else None,
        test_fingerprint=test.fingerprint(),
        train_counts=class_counts(train, context.dataset) if train else None,
        test_counts=class_counts(test, context.dataset),
        notes=context.dataset.notes(),
        labels=pack_labels(test.labels),
    )


def leak(train: ImageSet, test: ImageSet, split: str) -> str | None:
    """Return a warning if scored images are also among the training images, pixel by pixel; else None."""
    pairs = repeated(test, train)
    if not len(pairs):
        return None
    first = ", ".join(f"{split} image {here} is training image {there}" for here, there in pairs[:3].tolist())
    return f"{len(pairs)} of {len(test)} {split} images are also trained on, so accuracies are too high: {first}"


def class_counts(data: ImageSet, dataset: Dataset) -> tuple[int, ...]:
    """Return how many images of `data` each class of `dataset` has."""
    return tuple(int(count) for count in np.bincount(data.labels, minlength=len(dataset.class_names)))
