"""What the constraints share that bound where an image may change, and not how much."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction

import torch
from robench import Constraint
from torch import Tensor


class Places(Constraint):
    """Some pixels may take any values, and all others must stay as they are. The radius says how many, in pixels."""

    unit = "pixels"
    gradients_lead = False

    @abstractmethod
    def best(self, gains: Tensor, radius: Fraction) -> Tensor:
        """Return the pixels that may change with the largest sum of `gains` ``(N, H, W)``, not negative, ``bool``."""

    def project(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return the nearest images of the ball: the pixels with the largest change are kept, and all others clean."""
        levels = (perturbed.clamp(0, 1) * 255).round()
        kept = self.best((levels - clean).double().square().sum(dim=1), radius)
        return torch.where(kept[:, None], levels, clean).to(clean.dtype)

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        """Return images with the best pixels black or white in each channel, as `direction` says."""
        gain = direction.abs() * torch.where(direction > 0, 1 - images, images)
        kept = self.best(gain.double().sum(dim=1), radius)
        return torch.where(kept[:, None] & (direction != 0), (direction > 0).to(images.dtype), images)


def changed_pixels(clean: Tensor, changed: Tensor) -> Tensor:
    """Return which pixels differ in any channel, ``bool (N, H, W)``."""
    return (clean != changed).any(dim=1)
