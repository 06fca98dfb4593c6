"""Low-rank adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft import LoraConfig, LoraModel
from robench import Field, Later
from torch import nn

from robench_plugins.adaptations.parts import find_part, first_of_last
from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation, TargetParams


class LoRAParams(TargetParams):
    """Parameters of low-rank adapters; the defaults are the study's."""

    rank: int = Field(default=8, ge=1, description="rank r of each update")
    alpha: int = Field(default=32, ge=1, description="scale: updates are multiplied by alpha / r")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout before each adapter")
    n: int | None = Later(None, ge=1, description="number of blocks with adapters, the last ones; all if not given")


class LoRA(PEFTAdaptation):
    """Adds ``(alpha / r) B A`` to the query, key and value projections of the vision tower, and trains A and B.

    B starts at zero, so that the network starts unchanged. With `n`, only the last n blocks have adapters, and training
    saves the backward pass through the others.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1.
    """

    Params = LoRAParams
    params: LoRAParams
    method = LoraModel

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration."""
        params = self.params
        return LoraConfig(r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=names)

    def within(self, tower: nn.Module, parts: Mapping[str, nn.Module], names: list[str]) -> list[str]:
        """Return those of `names` in the last n blocks.

        Raises:
            PluginError: The model names no blocks, or has fewer than `n`.
        """
        if self.params.n is None:
            return names
        blocks = find_part(parts, "blocks")
        last = {layer for block in blocks[first_of_last(blocks, self.params.n) :] for layer in block.modules()}
        return [name for name in names if tower.get_submodule(name) in last]
