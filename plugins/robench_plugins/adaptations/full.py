"""All weights of the image encoder."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation
from torch import nn

from robench_plugins.adaptations.parts import train_only


class Full(Adaptation):
    """Trains all that maps an image to its embedding; the whole network, if the model names no such part.

    In a CLIP these are the vision tower and its projection. Text, temperature and class embeddings stay frozen.

    Source: Mao et al., "Understanding zero-shot adversarial robustness for large-scale models", ICLR 2023, section 3
    (finetuning).
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze all but the encoder."""
        train_only(network, parts.get("encoder", network).parameters())
