"""Learned factors on activations."""

from __future__ import annotations

from typing import Any

from peft import IA3Config, IA3Model

from robench_plugins.adaptations.peft_adaptation import TRANSFORMERS, PEFTAdaptation


class IA3(PEFTAdaptation):
    """Multiplies keys, values and the hidden activations of each MLP of the vision tower by learned vectors.

    They start at one, so that the network starts unchanged.

    Source: Liu et al., "Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning",
    NeurIPS 2022, section 3.3.
    """

    method = IA3Model
    roles = ("key", "value", "mlp_out")

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration; of the MLP's second layer the inputs are scaled, of others the outputs."""
        ends = self.layers_by_role().get("mlp_out", (TRANSFORMERS["mlp_out"],))
        hidden = [name for name in names if f".{name}".endswith(tuple(f".{end}" for end in ends))]
        return IA3Config(target_modules=names, feedforward_modules=hidden)
