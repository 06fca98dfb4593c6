"""What the user asked for: device, repeats and numbers of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from robench.contracts.context import RunContext
from robench.registry.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

DATASET = "leaf-synth"
"""Drawn on the spot, so nothing is downloaded."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How items are measured.

    Attributes:
        device: Where networks run.
        folder: A temporary folder.
        repeats: How often each side is measured, in turns, after a warm-up.
        quick: Only test that items work, with few images and small networks; the figures mean nothing.
        train_size: Training images of the study.
        test_size: Test images of the study.
        whole: Run the study's slowest script to its end.
    """

    registry: Registry
    device: torch.device
    folder: Path
    repeats: int = 5
    quick: bool = False
    train_size: int = 2000
    test_size: int = 1000
    whole: bool = False

    @cached_property
    def context(self) -> RunContext:
        """The context for all components."""
        return RunContext(
            dataset=self.registry.resolve("dataset", DATASET).build(),
            dataset_name=DATASET,
            device=self.device,
            seed=0,
            cache_dir=self.folder,
        )

    def network(self, name: str) -> nn.Module:
        """Return the network of a model, on the device, in evaluation mode."""
        network: nn.Module = self.registry.resolve("model", name).build().build(self.context)
        return network.to(self.device).eval()
