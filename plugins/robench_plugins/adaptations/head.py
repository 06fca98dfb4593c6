"""The last layer: a linear probe."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation
from torch import nn

from robench_plugins.adaptations.parts import find_part, train_only


class Head(Adaptation):
    """Trains the linear layer that makes the logits, starting from its present weights.

    In a CLIP these are the class embeddings, so that training starts from zero-shot accuracy. On another dataset the
    prompts of that dataset replace them.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021, section
    3.2 (linear probe); started from the prompts as in Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
    2022, section 2.
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze all but the last layer.

        Raises:
            PluginError: The model names no last layer.
        """
        train_only(network, find_part(parts, "head").parameters())
