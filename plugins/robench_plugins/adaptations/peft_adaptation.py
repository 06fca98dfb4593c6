"""What the adapters that come from peft have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from robench import Adaptation, Later, Params, PluginError
from torch import nn

from robench_plugins.adaptations.parts import find_part, train_only

ADAPTER = "default"
ATTENTION = ("query", "key", "value")
"""The projections that the study adapts, by their roles in :meth:`robench.Model.targets`."""

TRANSFORMERS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj", "mlp_in": "fc1"}
TRANSFORMERS |= {"mlp_out": "fc2"}
"""Their names in a tower of transformers."""


class TargetParams(Params):
    """Parameters of adapters in linear layers."""

    targets: str | None = Later(
        None,
        description="the linear layers with adapters, joined by +, by role or by the end of their names, such as "
        "query+value or mlp.fc1+mlp.fc2; those that the method names if not given",
    )


class PEFTAdaptation(Adaptation, ABC):
    """Adapters in linear layers of the part `place`. All else is frozen."""

    method: ClassVar[Any]
    """The class of peft that adds the adapters."""
    roles: ClassVar[tuple[str, ...]] = ATTENTION
    """The layers that it adapts unless the user says otherwise."""
    place: ClassVar[str] = "vision"
    Params = TargetParams
    params: TargetParams

    @abstractmethod
    def config(self, names: list[str]) -> Any:
        """Return peft's configuration of adapters in the layers `names`."""

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add adapters, drawn from torch's global random state.

        Raises:
            PluginError: The network has no such part or layers, or the parameters do not fit it.
        """
        tower = find_part(parts, self.place)
        config = self.config(self.within(tower, parts, self.chosen(tower)))
        train_only(network, ())
        # Not inject_adapter_in_model, which refuses methods with shared weights, such as VeRA.
        self.injected = self.method(tower, config, ADAPTER)
        # New modules are in training mode; this gives them the mode of the network.
        tower.train(network.training)

    def chosen(self, tower: nn.Module) -> list[str]:
        """Return the full names of the layers in `tower` that are adapted.

        Raises:
            PluginError: One is missing; the message names it and the layers that there are.
        """
        linear = [name for name, module in tower.named_modules() if isinstance(module, nn.Linear)]
        known = self.layers_by_role()
        asked = self.roles if self.params.targets is None else tuple(self.params.targets.split("+"))
        if self.params.targets is None and "qkv" in known and "query" not in known and {*ATTENTION} <= {*asked}:
            asked = ("qkv", *(role for role in asked if role not in ATTENTION))
        ends = [end for role in asked for end in known.get(role, (TRANSFORMERS.get(role, role),))]
        found = {end: [name for name in linear if f".{name}".endswith(f".{end}")] for end in ends}
        if missing := [end for end, names in found.items() if not names]:
            there = sorted({".".join(name.split(".")[-2:]) for name in linear if not name.split(".")[-1].isdigit()})
            others = f"; targets=NAME+NAME takes its linear layers {', '.join(there[:6])}" if there else ""
            raise PluginError(
                f"this adaptation finds no {', '.join(missing)} in the {self.place} tower{others}; "
                "or use a model that has them, such as --model clip-tiny"
            )
        chosen = {name for names in found.values() for name in names}
        return [name for name in linear if name in chosen]

    def layers_by_role(self) -> Mapping[str, tuple[str, ...]]:
        """Return where the model has its layers; in transformers' names if nobody told."""
        return {} if self._setting is None else self.setting.targets

    def within(self, tower: nn.Module, parts: Mapping[str, nn.Module], names: list[str]) -> list[str]:
        """Return those of `names` that the parameters ask for; by default all."""
        return names

    def merge(self, network: nn.Module) -> None:
        """Fold the adapters into the weights; they stay in place, unused."""
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, BaseTunerLayer):
                    module.merge()
