"""What objectives have in common that compare the network with what it was before it was adapted."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from robench import Objective, TuningSetting
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import image_text


class Guided(Objective):
    """Keeps the original network, frozen and in evaluation mode, as ``self.original``.

    It costs a second copy of the network. Embeddings are those of the part ``encoder``, of any length; in a classifier
    without text they are the input of the last layer.

    Attributes:
        by_text: Whether it needs a network that compares images with text.
    """

    by_text: ClassVar[bool] = False
    original: TuningSetting

    def prepare(self, network: nn.Module) -> None:
        """Copy the network.

        Raises:
            PluginError: The model names no encoder, or does not compare images with text, which this objective needs.
        """
        if self.by_text:
            image_text(network)
        self.setting.part("encoder")
        self.original = self.setting.frozen()

    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings ``float32 (N, D)`` of the network as it is now."""
        embeddings: Tensor = self.setting.part("encoder")(images)
        return embeddings.float()

    @torch.no_grad()
    def embed_originally(self, images: Tensor) -> Tensor:
        """Return the embeddings ``float32 (N, D)`` of the original network."""
        embeddings: Tensor = self.original.part("encoder")(images)
        return embeddings.float()

    @torch.no_grad()
    def predict_originally(self, images: Tensor) -> Tensor:
        """Return the logits ``float32 (N, K)`` of the original network."""
        logits: Tensor = self.original.network(images)
        return logits.float()

    def drift(self, clean: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what FARE's adversary raises: squared distances of embeddings from the original ones of `clean`."""
        anchors = self.embed_originally(clean)

        def squared_distance(images: Tensor) -> Tensor:
            return (self.embed(images) - anchors).square().sum(dim=1)

        return squared_distance


def cosines(network: nn.Module, images: Tensor) -> Tensor:
    """Return the cosines ``float32 (N, K)`` between images and the class embeddings, without temperature and bias.

    Raises:
        PluginError: The network does not compare images with text.
    """
    compared = image_text(network)
    embeddings = compared.embed_images(images).float()
    with torch.autocast(images.device.type, enabled=False):
        return embeddings @ F.normalize(compared.class_embeddings().float(), dim=-1).T
