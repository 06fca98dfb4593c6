"""What the adapters that come from peft have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from robench import Adaptation, PluginError
from torch import nn

from robench_plugins.adaptations.parts import find_part, train_only

ADAPTER = "default"
ATTENTION = ("q_proj", "k_proj", "v_proj")
"""The projections that the study adapts."""


class PEFTAdaptation(Adaptation, ABC):
    """Adapters in the linear layers `targets` of the vision tower. All else is frozen."""

    method: ClassVar[Any]
    """The class of peft that adds the adapters."""
    targets: ClassVar[tuple[str, ...]] = ATTENTION

    @abstractmethod
    def config(self, parts: Mapping[str, nn.Module]) -> Any:
        """Return peft's configuration of the adapters for a network with these `parts`.

        Raises:
            PluginError: The parameters do not fit the network.
        """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add adapters to its vision tower, drawn from torch's global random state.

        Raises:
            PluginError: The network has no vision tower with these layers, or the parameters do not fit it.
        """
        tower = find_part(parts, "vision")
        linear = {name.rpartition(".")[2] for name, module in tower.named_modules() if isinstance(module, nn.Linear)}
        if missing := [name for name in self.targets if name not in linear]:
            raise PluginError(
                f"this adaptation finds no {', '.join(missing)} in the vision tower; use a model that has "
                "them, such as --model clip-tiny"
            )
        config = self.config(parts)
        train_only(network, ())
        # Not inject_adapter_in_model, which refuses methods with shared weights, such as VeRA.
        self.injected = self.method(tower, config, ADAPTER)
        # New modules are in training mode; this gives them the mode of the tower.
        tower.train(tower.training)

    def merge(self, network: nn.Module) -> None:
        """Fold the adapters into the weights; they stay in place, unused."""
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, BaseTunerLayer):
                    module.merge()
