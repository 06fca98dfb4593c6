"""Learned rotations of the inputs of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft import OFTConfig, OFTModel
from robench import Field, Params, PluginError
from torch import nn

from robench_plugins.adaptations.parts import find_part
from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation


class OFTParams(Params):
    """Parameters of OFT."""

    block_size: int = Field(default=32, ge=2, description="channels that are rotated together; must divide the width")


class OFT(PEFTAdaptation):
    """Rotates the inputs of the query, key and value projections of the vision tower, in blocks of channels.

    The angles between the columns of each weight stay the same. Rotations start at the identity.

    Source: Qiu et al., "Controlling text-to-image diffusion by orthogonal finetuning", NeurIPS 2023, section 3, with
    Cayley's exact parametrisation. As in peft, blocks lie along the inputs of a layer.
    """

    Params = OFTParams
    params: OFTParams
    method = OFTModel

    def config(self, parts: Mapping[str, nn.Module]) -> Any:
        """Return peft's configuration."""
        return OFTConfig(
            oft_block_size=self.params.block_size, use_cayley_neumann=False, target_modules=list(self.targets)
        )

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add rotations to its vision tower.

        Raises:
            PluginError: The network has no vision tower with these layers, or `block_size` does not divide its width.
        """
        size = self.params.block_size
        for name, module in find_part(parts, "vision").named_modules():
            if name.endswith(self.targets) and isinstance(module, nn.Linear) and module.in_features % size:
                # peft would only warn and take another size.
                fitting = max(divisor for divisor in range(1, size) if module.in_features % divisor == 0)
                raise PluginError(
                    f"block_size={size} does not divide the width {module.in_features}; try block_size={fitting}"
                )
        super().adapt(network, parts)
