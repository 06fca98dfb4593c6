"""Visual prompting: a learned border added to every image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from robench import Adaptation, Field, Params, PluginError
from torch import Tensor, nn

from robench_plugins.adaptations.parts import train_only
from robench_plugins.adaptations.vpt import vision_tower


class PaddingParams(Params):
    """Parameters of the border."""

    pad: int | None = Field(
        default=None, ge=1, description="width in pixels of the model's input; 30 of 224, or that share, if not given"
    )


class BorderedEmbeddings(nn.Module):
    """The embeddings of a vision transformer, with a learned border added to the pixels."""

    frame: Tensor

    def __init__(self, embeddings: nn.Module, side: int, pad: int, device: torch.device) -> None:
        super().__init__()
        self.embeddings = embeddings
        frame = torch.ones(side, side, dtype=torch.bool, device=device)
        frame[pad : side - pad, pad : side - pad] = False
        self.register_buffer("frame", frame, persistent=False)
        n_pixels = side**2 - (side - 2 * pad) ** 2
        self.border = nn.Parameter(torch.randn(3, n_pixels, device=device))
        self.training = embeddings.training

    def forward(self, pixel_values: Tensor, **kwargs: bool) -> Tensor:
        """Embed normalised pixels ``(N, 3, side, side)``."""
        canvas = self.border.new_zeros(3, *self.frame.shape).masked_scatter(self.frame, self.border)
        embedded: Tensor = self.embeddings(pixel_values + canvas, **kwargs)
        return embedded


class PaddingPrompt(Adaptation):
    """Trains a border of pixels that is added to every resized and normalised image.

    Source: Bahng et al., "Exploring visual prompts for adapting large-scale models", 2022 (arXiv:2203.17274), section
    3 (padding); its start is standard normal as in their code. Mao et al., ICLR 2023, train it for robustness.
    """

    Params = PaddingParams
    params: PaddingParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add the border before its vision tower, drawn from torch's global random state.

        Raises:
            PluginError: The network has no CLIP vision tower, or the border would cover the whole image.
        """
        tower = vision_tower(parts)
        side: int = tower.config.image_size
        pad = self.params.pad or max(1, round(side * 30 / 224))
        if 2 * pad >= side:
            raise PluginError(f"pad={pad} covers all of {side} x {side} pixels; expected at most {(side - 1) // 2}")
        train_only(network, ())
        tower.embeddings = BorderedEmbeddings(tower.embeddings, side, pad, next(tower.parameters()).device)
