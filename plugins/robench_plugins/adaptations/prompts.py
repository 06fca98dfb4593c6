"""Prompts on both sides: learned tokens for images, learned words for texts."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Field, TuningSetting
from torch import nn

from robench_plugins.adaptations.coop import CoOp, CoOpParams
from robench_plugins.adaptations.vpt import DeepVPT, DeepVPTParams


class PromptsParams(DeepVPTParams, CoOpParams):
    """Parameters of prompts on both sides."""

    context: int = Field(default=2, ge=1, description="number of learned words before each class name")
    tokens: int = Field(default=2, ge=1, description="number of prompt tokens before each block")


class Prompts(DeepVPT):
    """Trains tokens before every block of the vision tower and context words before the class names.

    Source: Zhou et al., "Few-shot adversarial prompt learning on vision-language models", NeurIPS 2024, section 3.2.
    Deviations: both prompts are independent, where the paper projects text prompts to image prompts; text prompts
    are at the input alone, where the paper has them in 9 layers, and start at random, not at "a photo of a".
    """

    Params = PromptsParams
    params: PromptsParams

    def set_up(self, setting: TuningSetting) -> None:
        """Tell both sides."""
        super().set_up(setting)
        self._words = CoOp(CoOp.Params(context=self.params.context, unified=self.params.unified))
        self._words.set_up(setting)

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and draw prompts on both sides.

        Raises:
            PluginError: The network is no CLIP of two vision transformers.
        """
        self.setting  # noqa: B018  # the words need it
        super().adapt(network, parts)
        images = [weight for weight in network.parameters() if weight.requires_grad]
        self._words.adapt(network, parts)
        for weight in images:
            weight.requires_grad_(True)

    def merge(self, network: nn.Module) -> None:
        """Fix the class embeddings as they are."""
        self._words.merge(network)
