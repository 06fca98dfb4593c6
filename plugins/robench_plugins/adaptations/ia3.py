"""Learned factors on activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft import IA3Config, IA3Model
from torch import nn

from robench_plugins.adaptations.peft_adaptation import PEFTAdaptation


class IA3(PEFTAdaptation):
    """Multiplies keys, values and the hidden activations of each MLP of the vision tower by learned vectors.

    They start at one, so that the network starts unchanged.

    Source: Liu et al., "Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning",
    NeurIPS 2022, section 3.3.
    """

    method = IA3Model
    targets = ("k_proj", "v_proj", "fc2")

    def config(self, parts: Mapping[str, nn.Module]) -> Any:
        """Return peft's configuration."""
        return IA3Config(target_modules=list(self.targets), feedforward_modules=["fc2"])
