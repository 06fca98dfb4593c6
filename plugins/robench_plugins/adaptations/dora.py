"""Low-rank adapters of the direction of weights, with their lengths learned apart."""

from __future__ import annotations

from typing import Any

from robench_plugins.adaptations.lora import LoRA


class DoRA(LoRA):
    """LoRA on the direction of each weight row; its length m is a parameter: ``m (W + BA) / ||W + BA||``.

    It adapts the query, key and value projections of the vision tower. m starts at the row's length and B at zero, so
    that the network starts unchanged.

    Source: Liu et al., "DoRA: weight-decomposed low-rank adaptation", ICML 2024, equation 5; no gradient passes
    through the norm (section 4.3). As in peft, a row holds the weights of one output.
    """

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration."""
        config = super().config(names)
        config.use_dora = True
        return config
