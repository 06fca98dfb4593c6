"""Adapters that are the entry-wise product of two low-rank matrices."""

from __future__ import annotations

from typing import Any

from peft import LoHaConfig, LoHaModel
from robench import Field

from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation, TargetParams


class LoHaParams(TargetParams):
    """Parameters of LoHa."""

    rank: int = Field(default=8, ge=1, description="rank r of both matrices; the update has rank r squared at most")
    alpha: int = Field(default=32, ge=1, description="scale: updates are multiplied by alpha / r")


class LoHa(PEFTAdaptation):
    """Adds ``(alpha / r) (A1 B1) * (A2 B2)``, an entry-wise product, to query, key and value projections of the tower.

    B2 starts at zero, so that the network starts unchanged.

    Source: Hyeon-Woo et al., "FedPara: low-rank Hadamard product for communication-efficient federated learning",
    ICLR 2022, proposition 1, used as an adapter as in Yeh et al., "Navigating text-to-image customization", ICLR 2024.
    """

    Params = LoHaParams
    params: LoHaParams
    method = LoHaModel

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration."""
        return LoHaConfig(r=self.params.rank, alpha=self.params.alpha, target_modules=names)
