"""Captioned images of leaf-synth for pretraining, from a random stream of their own."""

from __future__ import annotations

import numpy as np
import torch

from robench_plugins.datasets.leaf_synth.classes import PROMPTS, labels
from robench_plugins.datasets.leaf_synth.render import render
from robench_plugins.make_weights.source import Source

PRETRAIN_SPLIT = "pretrain"


def leaf_source(*, seed: int = 0, n_images: int = 40_000, n_validation: int = 2_000, size: int = 32) -> Source:
    """Return `n_images` captioned images; the validation part is the benchmark's validation split.

    No image of the benchmark's train and test splits is drawn.
    """
    train, validation = np.arange(n_images), np.arange(n_validation)
    return Source(
        images=torch.from_numpy(render(seed, PRETRAIN_SPLIT, train, size)),
        labels=torch.from_numpy(labels(n_images)),
        captions=tuple(PROMPTS[label] for label in labels(n_images)),
        class_prompts=PROMPTS,
        validation_images=torch.from_numpy(render(seed, "validation", validation, size)),
        validation_labels=torch.from_numpy(labels(n_validation)),
    )
