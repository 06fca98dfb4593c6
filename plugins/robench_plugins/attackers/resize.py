"""Resizing: a control for attacks across resolutions."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Attacker, AttackParams, Field, Pixels
from torch import Tensor, nn
from torch.nn import functional as F


class ResizeParams(AttackParams):
    """Parameters of resizing."""

    eps: Pixels = Field(
        default=Fraction(1), description="largest change of a pixel, in [0, 1]; 1 keeps all that resizing changes"
    )
    size: int = Field(default=224, ge=1, description="height and width, in pixels, to which images are resized")


class Resize(Attacker):
    """Resizes images and back, both by antialiased bicubic interpolation: a control, no attack.

    If a surrogate sees 32 pixels and the target 224, accuracy may fall because images are resampled, not because they
    are attacked. This control shows that part.
    """

    Params = ResizeParams
    params: ResizeParams
    knowledge = "nothing"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images after resizing and back."""
        native, size = images.shape[-2:], (self.params.size, self.params.size)
        with torch.no_grad():
            there = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
            return F.interpolate(there, native, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
