"""The control for resampling."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Attacker, AttackParams, Field, Pixels
from torch import Tensor, nn
from torch.nn import functional as F


class ResizeParams(AttackParams):
    """Where the images are sent and brought back from."""

    eps: Pixels = Field(
        default=Fraction(1), description="bound on the change of a pixel; at 1 whatever resampling does is kept"
    )
    size: int = Field(default=224, ge=1, description="height and width, in pixels, that the images are resized to")


class Resize(Attacker):
    """No adversary: images are resized and brought back, both by antialiased bicubic interpolation.

    Where a surrogate sees 32 pixels and the target 224, an accuracy may fall because images were resampled, not because
    they were attacked. What this control costs is not the attack's doing.
    """

    Params = ResizeParams
    params: ResizeParams
    knowledge = "nothing"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the resampled images."""
        native, size = images.shape[-2:], (self.params.size, self.params.size)
        with torch.no_grad():
            there = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
            return F.interpolate(there, native, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
