"""Unsupervised adversarial fine-tuning of embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from robench import FeatureNetwork, Field, ImageTextNetwork, Objective, Params, PluginError
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import image_text


class FAREParams(Params):
    """Parameters of FARE."""

    normalise: bool = Field(
        default=False,
        description="compare embeddings brought to unit length, so that the loss is 2 - 2 cos; the paper does not",
    )


class FARE(Objective):
    """Keeps the embeddings of adversarial images near the original network's embeddings of the clean images.

    The loss is ``|z(x') - z_original(x)|^2``, averaged over the batch; it needs no labels. It costs a second copy of
    the network, and another forward pass a step. At the clean images the loss and its gradient start at 0, so a
    white-box adversary needs a random start, which PGD has. In a classifier without text, embeddings are those of the
    part ``encoder``, the input of the last layer.

    Source: Schlarmann et al., "Robust CLIP: unsupervised adversarial fine-tuning of vision embeddings for robust large
    vision-language models", ICML 2024, section 3.2 (eq. 3). As there, embeddings are compared before they are brought
    to unit length, with ``|.|^2`` the sum over their entries. With ``normalise=true`` they are unit vectors first, so
    that the loss is ``2 - 2 cos`` and only their direction counts, as it does in a classifier of scaled cosines.
    """

    Params = FAREParams
    params: FAREParams

    def prepare(self, network: nn.Module) -> None:
        """Keep a frozen copy of the network, in evaluation mode.

        Raises:
            PluginError: The network neither compares images with text nor names its encoder, or it has no embeddings
                but unit vectors.
        """
        if isinstance(network, ImageTextNetwork) or self._setting is None or "encoder" not in self.setting.parts:
            self._embed(image_text(network))
            original = image_text(copy.deepcopy(network).eval().requires_grad_(False))
            self._tuned, self._original = self._embed(image_text(network)), self._embed(original)
        else:
            self._tuned = self._brought(self.setting.part("encoder"))
            self._original = self._brought(self.setting.frozen().part("encoder"))

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared distance, a scalar."""
        return self.score(network, clean, labels)(adversarial).mean()

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the squared distance of each image's embedding, which the paper's adversary maximises."""
        with torch.no_grad():
            anchors = self._original(clean).float()

        def squared_distance(images: Tensor) -> Tensor:
            return (self._tuned(images).float() - anchors).square().sum(dim=1)

        return squared_distance

    def _embed(self, network: ImageTextNetwork) -> Callable[[Tensor], Tensor]:
        """Return the function from images to the embeddings that are compared."""
        if self.params.normalise:
            return network.embed_images
        if not isinstance(network, FeatureNetwork):
            raise PluginError(
                f"{type(network).__name__} has no image_features, the embeddings before they are brought to unit "
                "length, which fare compares; use fare with normalise=true"
            )
        return network.image_features

    def _brought(self, encoder: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        if not self.params.normalise:
            return encoder
        return lambda images: F.normalize(encoder(images), dim=-1)
