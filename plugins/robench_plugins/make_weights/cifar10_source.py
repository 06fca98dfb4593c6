"""CIFAR-10 (Krizhevsky 2009), captioned with prompts."""

from __future__ import annotations

from pathlib import Path

import torch

from robench_plugins.datasets.cifar10 import CIFAR10, CIFAR10Params
from robench_plugins.make_weights.source import Source

TEMPLATES = (
    "a photo of a {}.",
    "a blurry photo of a {}.",
    "a low resolution photo of a {}.",
    "a photo of the {}.",
    "a good photo of a {}.",
    "a small photo of a {}.",
    "a close-up photo of a {}.",
    "a picture of a {}.",
    "an image of a {}.",
    "a {}.",
)


def cifar10_source(directory: Path) -> Source:
    """Return the 45,000 training and 5,000 validation images of the dataset as a source."""
    dataset = CIFAR10(CIFAR10Params(path=str(directory)))
    train, validation = dataset.split("train"), dataset.split("validation")
    prompts = tuple(tuple(template.format(name) for template in TEMPLATES) for name in dataset.class_names)
    return Source(
        images=torch.from_numpy(train.images),
        labels=torch.from_numpy(train.labels),
        captions=tuple(prompts[label] for label in train.labels.tolist()),
        class_prompts=prompts,
        validation_images=torch.from_numpy(validation.images),
        validation_labels=torch.from_numpy(validation.labels),
    )
