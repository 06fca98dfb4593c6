"""The sample images of a finished run, which its figures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.contracts.context import RunContext
from robench.contracts.model import ImageTextNetwork, PatchNetwork
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.evaluate import evaluation_mode, logits_of
from robench.records.samples import AttackSamples, Samples, choose
from robench.run.plan import Plan

COPIES = 5
"""Augmented versions kept of each training image."""


def take_samples(
    plan: Plan,
    context: RunContext,
    network: nn.Module,
    train: ImageSet | None,
    test: ImageSet,
    shown: NDArray[np.int64],
    predictions: NDArray[np.int64],
    attacks: Sequence[AttackSamples],
) -> Samples:
    """Return the samples of a run whose tuned `network` has been scored.

    Args:
        shown: Indices in `test` of the sample images.
        predictions: Predicted class of every image of `test`, ``int64 (n,)``.
    """
    augmented = None
    if train is not None:
        tuner, seed = plan.tuner.build(), context.stream("augmentation shown")
        originals = train.images[choose(train.labels, len(train))]  # one of each class
        copies = [tuner.augmented(originals, seed + number * len(originals)) for number in range(COPIES)]
        augmented = None if copies[0] is None else np.stack([originals, *copies], axis=1)
    return Samples(
        labels=test.labels,
        names=test.names,
        indices=shown,
        clean=test.images[shown],
        logits=logits_of(network, test.images[shown], context.device, context.precision.evaluation),
        predictions=predictions,
        attacks=tuple(attacks),
        temperature=float(network.temperature()) if isinstance(network, ImageTextNetwork) else None,
        augmented=augmented,
        patches=_patches(network, test.images[shown[:1]], context.device),
    )


def _patches(network: nn.Module, image: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32] | None:
    """Return the encoded patches of one image; None if the network has no patches."""
    if not isinstance(network, PatchNetwork):
        return None
    with evaluation_mode(network), torch.inference_mode():
        patches: NDArray[np.float32] = network.embed_patches(to_pixels(image, device))[0].float().cpu().numpy()
    return patches
