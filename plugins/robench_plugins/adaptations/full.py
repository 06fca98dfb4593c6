"""All weights of the image encoder."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation
from torch import nn

from robench_plugins.adaptations.parts import encoder_and_head, train_only


class Full(Adaptation):
    """Trains all that maps an image to its embedding, and the layer that makes the logits.

    In a CLIP these are the vision tower and its projection: the last layer is made of prompts, and stays frozen like
    text and temperature. If the model names no encoder, the whole network is trained.

    Source: Mao et al., "Understanding zero-shot adversarial robustness for large-scale models", ICLR 2023, section 3
    (finetuning).
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze all but the encoder and a head that is not made of prompts."""
        train_only(network, encoder_and_head(network, parts))
