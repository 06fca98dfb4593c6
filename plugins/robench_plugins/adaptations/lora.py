"""Low-rank adapters."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig, LoraModel
from robench import Field, Params

from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation


class LoRAParams(Params):
    """Parameters of low-rank adapters; the defaults are the study's."""

    rank: int = Field(default=8, ge=1, description="rank r of each update")
    alpha: int = Field(default=32, ge=1, description="scale; updates are multiplied by alpha / r")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout before each adapter")


class LoRA(PEFTAdaptation):
    """Adds ``(alpha / r) B A`` to the query, key and value projections of the vision tower, and trains A and B.

    B starts at zero, so that the network starts as it was.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1.
    """

    Params = LoRAParams
    params: LoRAParams
    method = LoraModel

    def config(self) -> Any:
        """Return peft's configuration."""
        params = self.params
        return LoraConfig(
            r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=list(self.targets)
        )
