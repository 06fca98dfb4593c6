"""Visual prompting: a learned border added to every image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from robench import Adaptation, Field, Params, PluginError
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.adaptations.parts import find_part, train_only


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
        self.register_buffer("frame", _frame(side, pad, device), persistent=False)
        n_pixels = side**2 - (side - 2 * pad) ** 2
        self.border = nn.Parameter(torch.randn(3, n_pixels, device=device))
        self.training = embeddings.training

    def forward(self, pixel_values: Tensor, **kwargs: bool) -> Tensor:
        """Embed normalised pixels ``(N, 3, side, side)``."""
        canvas = self.border.new_zeros(3, *self.frame.shape).masked_scatter(self.frame, self.border)
        embedded: Tensor = self.embeddings(pixel_values + canvas, **kwargs)
        return embedded


class Border(nn.Module):
    """A learned border on images in ``[0, 1]``, as a hook before the encoder of any network.

    Args:
        side: Height and width of the images in pixels; on images of another size the border is enlarged with them.
    """

    frame: Tensor

    def __init__(self, side: int, pad: int, device: torch.device) -> None:
        super().__init__()
        frame = _frame(side, pad, device)
        self.register_buffer("frame", frame, persistent=False)
        # A quarter: about one standard deviation of pixels.
        self.border = nn.Parameter(0.25 * torch.randn(3, int(frame.sum()), device=device))

    def on_images(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the inputs of the encoder, with the border on the images."""
        images, *rest = inputs
        canvas = self.border.new_zeros(3, *self.frame.shape).masked_scatter(self.frame, self.border)
        if canvas.shape[-2:] != images.shape[-2:]:
            canvas = F.interpolate(canvas[None], images.shape[-2:])[0]
        return (images + canvas.to(images.dtype), *rest)


class PaddingPrompt(Adaptation):
    """Trains a border of pixels that is added to every image.

    In a vision transformer of transformers it is added to the resized and normalised image, and starts from a standard
    normal. In every other network it is added to the pixels before the encoder, and starts at a quarter of that.

    Source: Bahng et al., "Exploring visual prompts for adapting large-scale models", 2022 (arXiv:2203.17274), section
    3 (padding); its start is standard normal as in their code. Mao et al., ICLR 2023, train it for robustness.
    """

    Params = PaddingParams
    params: PaddingParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add the border, drawn from torch's global random state.

        Raises:
            PluginError: The model names neither a tower nor an encoder, or the border would cover the whole image.
        """
        tower = parts.get("vision")
        if isinstance(getattr(tower, "embeddings", None), nn.Module):
            assert tower is not None
            side = int(tower.config.image_size)  # type: ignore[union-attr, arg-type]
            pad, device = self._pad(side), next(tower.parameters()).device
            train_only(network, ())
            tower.embeddings = BorderedEmbeddings(tower.embeddings, side, pad, device)  # type: ignore[arg-type]
            return
        encoder = find_part(parts, "encoder")
        context = self.setting.context
        side = int(context.dataset.split("train", 1).images.shape[-1])
        border = Border(side, self._pad(side), context.device)
        train_only(network, ())
        network.add_module("border", border)
        encoder.register_forward_pre_hook(border.on_images)

    def _pad(self, side: int) -> int:
        """Return the width of the border for images of `side` pixels.

        Raises:
            PluginError: It would cover the whole image.
        """
        pad = self.params.pad or max(1, round(side * 30 / 224))
        if 2 * pad >= side:
            raise PluginError(f"pad={pad} covers all of {side} x {side} pixels; expected at most {(side - 1) // 2}")
        return pad


def _frame(side: int, pad: int, device: torch.device) -> Tensor:
    frame = torch.ones(side, side, dtype=torch.bool, device=device)
    frame[pad : side - pad, pad : side - pad] = False
    return frame
