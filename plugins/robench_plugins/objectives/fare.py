"""Unsupervised adversarial fine-tuning of embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from robench import ImageTextNetwork, Objective
from torch import Tensor, nn

from robench_plugins.objectives.contrastive import image_text


class FARE(Objective):
    """Keeps the embeddings of adversarial images near the original network's embeddings of the clean images.

    The loss is ``|z(x') - z_original(x)|^2``, averaged over the batch; it needs no labels. It costs a second copy of
    the network, and another forward pass a step. At the clean images the loss and its gradient start at 0, so a
    white-box adversary needs a random start, which PGD has.

    Source: Schlarmann et al., "Robust CLIP: unsupervised adversarial fine-tuning of vision embeddings for robust large
    vision-language models", ICML 2024, section 3.2. Deviation: the paper compares embeddings before they are brought to
    unit length. Here they are unit vectors, so that the loss is ``2 - 2 cos``, because a classifier of scaled cosines
    only sees their direction.
    """

    _original: ImageTextNetwork

    def prepare(self, network: nn.Module) -> None:
        """Keep a frozen copy of the network, in evaluation mode.

        Raises:
            PluginError: The network does not compare images with text.
        """
        image_text(network)
        self._original = image_text(copy.deepcopy(network).eval().requires_grad_(False))

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared distance, a scalar."""
        return self.score(network, clean, labels)(adversarial).mean()

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the squared distance of each image's embedding, which the paper's adversary maximises."""
        with torch.no_grad():
            anchors = self._original.embed_images(clean).float()
        tuned = image_text(network)

        def squared_distance(images: Tensor) -> Tensor:
            return (tuned.embed_images(images).float() - anchors).square().sum(dim=1)

        return squared_distance
