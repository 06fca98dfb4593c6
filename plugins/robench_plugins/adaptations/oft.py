"""Learned rotations of the inputs of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft import OFTConfig, OFTModel
from robench import Field, PluginError
from torch import nn

from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation, TargetParams


class OFTParams(TargetParams):
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

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration."""
        return OFTConfig(oft_block_size=self.params.block_size, use_cayley_neumann=False, target_modules=names)

    def within(self, tower: nn.Module, parts: Mapping[str, nn.Module], names: list[str]) -> list[str]:
        """Return `names`.

        Raises:
            PluginError: `block_size` does not divide the inputs of a layer.
        """
        size = self.params.block_size
        for width in (getattr(tower.get_submodule(name), "in_features", size) for name in names):
            if width % size:
                # peft would only warn and take another size.
                fitting = max(divisor for divisor in range(1, size) if width % divisor == 0)
                raise PluginError(f"block_size={size} does not divide the width {width}; try block_size={fitting}")
        return names
