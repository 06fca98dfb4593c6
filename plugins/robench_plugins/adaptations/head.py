"""The last layer alone."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation
from torch import nn

from robench_plugins.adaptations.parts import find_part, train_only


class Head(Adaptation):
    """Trains the linear layer that makes the logits, a linear probe, from the weights it has.

    Of a CLIP these are the class embeddings, so that training starts from zero-shot accuracy; on another dataset the
    probe is lost, and the prompts of that dataset take its place.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021, section
    3.2 (linear probe); started from the prompts as in Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
    2022, section 2.
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze all but the last layer.

        Raises:
            PluginError: The model names no such layer.
        """
        train_only(network, find_part(parts, "head").parameters())
