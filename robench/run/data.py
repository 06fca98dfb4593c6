"""The images of a run, and what its record says about them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from robench.contracts.context import Progress, RunContext
from robench.contracts.dataset import Dataset, SplitName
from robench.contracts.model import Model
from robench.contracts.types import as_utf8, require_utf8
from robench.errors import SpecError
from robench.images.image_set import ImageSet, repeated
from robench.records.class_labels import pack_labels
from robench.records.record import DataRecord, RunSpec
from robench.registry.resolved import Resolved
from robench.run.dataset_cache import DatasetCache

SHOWN, TEMPLATES, LONGEST = 10, 3, 100
"""Classes, prompts of each, and characters of a prompt, that a dry run shows."""


def load_split(
    context: RunContext,
    split: SplitName,
    size: int,
    dataset_cache: DatasetCache | None = None,
    shots: int | None = None,
) -> ImageSet:
    """Return the first `size` images of a split of the run's dataset, with checked labels.

    Args:
        dataset_cache: Images that an earlier run of this process loaded.
        shots: Images of each class, drawn by the run's seed, in place of the first `size`.
    """
    context.report(Progress(stage="data", done=0, total=size))
    if shots is None:
        data = (dataset_cache or DatasetCache()).split(context.dataset, split, size)
    else:
        data = context.dataset.take(split, few(context.dataset.labels(split), shots, context.stream("shots")))
    data.check_labels(len(context.dataset.class_names))
    context.report(Progress(stage="data", done=size, total=size))
    return data


def few(labels: NDArray[np.int64], shots: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of `shots` images of each class, ``int64 (k,)``; of a smaller class all there are.

    Fewer shots of one seed are the first of more. Classes take turns.
    """
    random = np.random.RandomState(seed % 2**32)
    order = random.permutation(len(labels))
    place = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members))
    chosen = order[np.lexsort((labels[order], place[order]))]
    drawn: NDArray[np.int64] = chosen[place[chosen] < shots]
    return drawn


def visits(spec: RunSpec) -> str:
    """Return how often training looks at images, in words."""
    epochs, balance = spec.tuner.params.get("epochs", 1), spec.tuner.params.get("balance", 0)
    drawn = f"{balance:,} a class" if balance else "all"
    looked = "" if balance else f", {epochs * (spec.train_size or 0):,} image visits"
    return f"{epochs} epoch{'' if epochs == 1 else 's'} of {drawn}{looked}"


def data_record(context: RunContext, model: Model, train: ImageSet | None, test: ImageSet) -> DataRecord:
    """Describe the images of a run and the prompts of `model`; `train` is None if nothing is trained."""
    for name in context.dataset.class_names:
        require_utf8(name)
    return DataRecord(
        class_names=context.dataset.class_names,
        image_size=(test.images.shape[2], test.images.shape[3]),
        train_fingerprint=train.fingerprint() if train else None,
        test_fingerprint=test.fingerprint(),
        train_counts=class_counts(train, context.dataset) if train else None,
        test_counts=class_counts(test, context.dataset),
        notes=tuple(as_utf8(note) for note in context.dataset.notes()),
        prompts=templates(context.dataset, model),
        labels=pack_labels(test.labels),
    )


def templates(dataset: Dataset, model: Model) -> tuple[tuple[str, ...], ...]:
    """Return the prompts of each class; or one group with ``{}`` for the class name, if all classes have the same."""
    prompts = model.prompts(dataset)
    names = [" ".join(name.replace("_", " ").split()) for name in dataset.class_names]
    bare = {tuple(text.replace(name, "{}", 1) for text in group) for name, group in zip(names, prompts, strict=False)}
    return tuple(bare) if len(bare) == 1 else prompts


def described(dataset: Dataset, model: Model) -> list[tuple[str, str]]:
    """Return classes, the prompts of `model` and notes of a dataset for a person; nothing if they are not at hand."""
    if not dataset.at_hand():
        return []
    names, prompts = dataset.class_names, templates(dataset, model)
    more = "" if len(names) <= SHOWN else ", ..."
    rows = [("classes", f"{len(names)}: {', '.join(names[:SHOWN])}{more}")]
    for group in prompts[:SHOWN]:
        told = [text if len(text) <= LONGEST else f"{text[:LONGEST]}..." for text in group[:TEMPLATES]]
        told += [f"... {len(group)} in all"] if len(group) > TEMPLATES else []
        rows.append(("prompts", " | ".join(told)))
    rows += [("prompts", f"... of {len(prompts)} classes")] if len(prompts) > SHOWN else []
    return rows + [("note", note) for note in dataset.notes()]


def check_sizes(dataset: Dataset, wanted: Mapping[SplitName, int]) -> None:
    """Check that splits have as many images as a run needs, if that is known at once.

    Raises:
        DataError: One has fewer. SpecError: The name of a class is no UTF-8.
    """
    if dataset.at_hand():
        for name in dataset.class_names:
            require_utf8(name)
        for split, size in wanted.items():
            if size and size > dataset.size(split):
                dataset.split(split, size)


def count(size: int | str, option: str, dataset: Resolved, split: str) -> int:
    """Return the number of images; only ``all`` looks at the data.

    Raises:
        SpecError: It is below 1, or there are none.
        DataError: The dataset cannot say how many there are.
    """
    if size == "all":
        if there := int(dataset.build().size(split)):
            return there
        raise SpecError(lacks(dataset.label, split))
    if isinstance(size, str) or size < 1:
        raise SpecError(f"{option} must be at least 1, or all (got {size!r})")
    return size


def lacks(label: str, split: str) -> str:
    """Return a message on a split of the dataset `label` that has no images."""
    cure = "such as --tuner none" if split == "train" else f"so score another split than --split {split}"
    only = "so only runs that train nothing can use it, " if split == "train" else ""
    return f"{label} has no {split} images, {only}{cure}"


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
