"""Take from a finished run what its figures will need."""

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
"""Augmented versions kept of a training image."""


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
        shown: Which images of `test` are the samples.
        predictions: Of all of `test`, ``int64 (n,)``.
    """
    return Samples(
        labels=test.labels,
        indices=shown,
        clean=test.images[shown],
        logits=logits_of(network, test.images[shown], context.device, context.precision.evaluation),
        predictions=predictions,
        attacks=tuple(attacks),
        temperature=float(network.temperature()) if isinstance(network, ImageTextNetwork) else None,
        augmented=None if train is None else _augmented(plan, context, train),
        patches=_patches(network, test.images[shown[:1]], context.device),
    )


def _augmented(plan: Plan, context: RunContext, train: ImageSet) -> NDArray[np.uint8] | None:
    """Return training images, one a class, each followed by what the tuner's augmentation makes of it."""
    tuner, seed = plan.tuner.build(), context.stream("augmentation shown")
    originals = train.images[choose(train.labels, len(train))]
    copies = [tuner.augmented(originals, seed + number * len(originals)) for number in range(COPIES)]
    return None if copies[0] is None else np.stack([originals, *copies], axis=1)


def _patches(network: nn.Module, image: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32] | None:
    if not isinstance(network, PatchNetwork):
        return None
    with evaluation_mode(network), torch.inference_mode():
        patches: NDArray[np.float32] = network.embed_patches(to_pixels(image, device))[0].float().cpu().numpy()
    return patches
