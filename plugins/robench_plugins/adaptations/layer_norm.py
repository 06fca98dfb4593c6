"""The layer norms of the vision tower."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation, PluginError
from torch import nn

from robench_plugins.adaptations.parts import find_part, train_only


class LayerNorms(Adaptation):
    """Trains the scales and offsets of all layer norms of the vision tower.

    Source: Zhao et al., "Tuning LayerNorm in attention: towards efficient multi-modal LLM finetuning", ICLR 2024,
    section 2. Deviation: the paper trains the layer norms next to the attention blocks of a language model.
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network except for the layer norms of its vision tower.

        Raises:
            PluginError: The network has no vision tower with layer norms.
        """
        tower = find_part(parts, "vision")
        norms = [module for module in tower.modules() if isinstance(module, nn.LayerNorm)]
        if not norms:
            raise PluginError("this adaptation finds no LayerNorm in the vision tower; use --model clip-tiny")
        train_only(network, (weight for norm in norms for weight in norm.parameters()))
