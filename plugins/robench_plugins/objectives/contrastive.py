"""What objectives have in common that compare images with class prompts."""

from __future__ import annotations

from abc import abstractmethod

import torch
from robench import BiasedNetwork, ImageTextNetwork, PluginError
from torch import Tensor, nn

from robench_plugins.objectives.mixed import Mixed


def image_text(network: nn.Module) -> ImageTextNetwork:
    """Return `network`, typed as one that compares images with class prompts.

    Raises:
        PluginError: It does not compare them.
    """
    if not isinstance(network, ImageTextNetwork):
        raise PluginError(
            "this objective needs a model that compares images with text, such as --model clip-tiny; "
            "the objectives ce and trades work with any model"
        )
    return network


class Contrastive(Mixed):
    """A loss of the cosines between images and class prompts, for clean and adversarial images in proportion."""

    def prepare(self, network: nn.Module) -> None:
        """Check that the network compares images with text.

        Raises:
            PluginError: It does not compare them.
        """
        image_text(network)

    def on(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, computed in float32 from the embeddings on."""
        compared = image_text(network)
        embeddings = compared.embed_images(images).float()
        # Autocast would make this product bfloat16, with an error of half a logit at CLIP's temperature of 100.
        with torch.autocast(images.device.type, enabled=False):
            cosines = embeddings @ compared.class_embeddings().float().T
            bias = compared.bias() if isinstance(compared, BiasedNetwork) else None
            return self.contrast(cosines, compared.temperature().float(), labels, bias)

    @abstractmethod
    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            cosines: Between each image and each class prompt, ``float32 (N, K)`` in ``[-1, 1]``.
            temperature: The network's factor on the cosine, ``exp(logit_scale)``, a scalar.
            labels: ``int64 (N,)``.
            bias: The network's bias on the scaled cosines, a scalar; None if it has none.
        """
