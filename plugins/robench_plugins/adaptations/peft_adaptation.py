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
    """Adapters inside the linear layers of the vision tower, called `targets`; all else is frozen."""

    method: ClassVar[Any]
    """The class of peft that puts the adapters in."""
    targets: ClassVar[tuple[str, ...]] = ATTENTION

    @abstractmethod
    def config(self, parts: Mapping[str, nn.Module]) -> Any:
        """Return peft's configuration of the adapters for a network of `parts`.

        Raises:
            PluginError: The parameters do not fit it.
        """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and put adapters into its vision tower, with weights from torch's global stream.

        Raises:
            PluginError: It has no vision tower, one without the layers to be adapted, or parameters do not fit it.
        """
        tower = find_part(parts, "vision")
        linear = {name.rpartition(".")[2] for name, module in tower.named_modules() if isinstance(module, nn.Linear)}
        if missing := [name for name in self.targets if name not in linear]:
            raise PluginError(
                f"this adaptation finds no {', '.join(missing)} in the vision tower; use a model that has them, "
                "such as --model clip-tiny"
            )
        config = self.config(parts)
        train_only(network, ())
        # Not inject_adapter_in_model, which does the same but refuses methods with shared weights, such as VeRA.
        self.injected = self.method(tower, config, ADAPTER)
        # New modules start in training mode, whatever the mode of the tower.
        tower.train(tower.training)

    def merge(self, network: nn.Module) -> None:
        """Fold the adapters into the weights; they stay where they are, and are passed by."""
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, BaseTunerLayer):
                    module.merge()
