"""Learned vectors between random matrices that all layers share."""

from __future__ import annotations

from typing import Any

from peft import VeraConfig, VeraModel
from robench import Field

from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation, TargetParams


class VeRAParams(TargetParams):
    """Parameters of VeRA."""

    rank: int = Field(
        default=256, ge=1, description="rank of the frozen random matrices; each layer trains this many more values"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before each adapter")


class VeRA(PEFTAdaptation):
    """Adds ``diag(b) B diag(d) A`` to the query, key and value projections of the vision tower, and trains b and d.

    A and B are random, frozen, and the same in all layers and runs: their seed is fixed, so they need not be saved. b
    starts at zero, so that the network starts unchanged.

    Source: Kopiczko et al., "VeRA: vector-based random matrix adaptation", ICLR 2024, equation 2.
    """

    Params = VeRAParams
    params: VeRAParams
    method = VeraModel

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration."""
        return VeraConfig(
            r=self.params.rank,
            vera_dropout=self.params.dropout,
            target_modules=names,
            projection_prng_key=0,
        )
