"""From bytes to the logits of a CLIP, as one writes it with transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from robench.bench.clips import Clip


def pixels_of(images: Tensor, clip: Clip) -> Tensor:
    """Return images ``(N, 3, H, W)``, ``uint8`` or in ``[0, 1]``, as the input of the model, on its device."""
    pixels = images.to(clip.mean.device, non_blocking=True)
    pixels = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
    size = (clip.image_size, clip.image_size)
    if tuple(pixels.shape[-2:]) != size:
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return (pixels - clip.mean) / clip.std


class BareCLIP(nn.Module):
    """A CLIP of transformers as a classifier: images ``(N, 3, H, W)`` in ``[0, 1]`` to logits."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.model, self.clip = clip.model, clip

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        return logits_of(self.model, self.clip, pixels_of(images, self.clip))


def logits_of(model: Any, clip: Clip, pixels: Tensor) -> Tensor:
    """Return ``exp(logit_scale) * cos(image, text)``, ``(N, n_classes)``.

    Args:
        model: The model of `clip`, or an adapted one.
    """
    features = model.get_image_features(pixel_values=pixels).pooler_output
    logits: Tensor = model.logit_scale.exp() * F.normalize(features, dim=-1) @ clip.text.T
    return logits
