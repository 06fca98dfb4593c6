"""What the objectives share that compare images with class prompts."""

from __future__ import annotations

from abc import abstractmethod

import torch
from robench import ImageTextNetwork, PluginError
from torch import Tensor, nn

from robench_plugins.objectives.mixed import Mixed


def image_text(network: nn.Module) -> ImageTextNetwork:
    """Return `network` as one that compares images with class prompts.

    Raises:
        PluginError: It does not.
    """
    if not isinstance(network, ImageTextNetwork):
        raise PluginError(
            "this objective needs a model that compares images with text, such as --model clip-tiny; "
            "objectives ce and trades work on any"
        )
    return network


class Contrastive(Mixed):
    """A function of the cosines of images and class prompts, mixed over clean and adversarial images."""

    def prepare(self, network: nn.Module) -> None:
        """Check that the network compares images with text.

        Raises:
            PluginError: It does not.
        """
        image_text(network)

    def on(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, computed in float32 from the embeddings on."""
        compared = image_text(network)
        embeddings = compared.embed_images(images).float()
        # Under autocast the product would be bfloat16, whose error CLIP's temperature of 100 makes half a logit.
        with torch.autocast(images.device.type, enabled=False):
            cosines = embeddings @ compared.class_embeddings().float().T
            return self.contrast(cosines, compared.temperature().float(), labels)

    @abstractmethod
    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            cosines: Of each image and each class, ``float32 (N, K)`` in ``[-1, 1]``.
            temperature: The network's factor on the cosine, ``exp(logit_scale)``, a scalar.
            labels: ``int64 (N,)``.
        """
