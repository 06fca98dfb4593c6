"""Random noise: a control."""

from __future__ import annotations

import torch
from robench import Attacker, NormParams
from torch import Tensor, nn
from torch.nn import functional as F


class Noise(Attacker):
    """Random noise, a control that every attack must beat: uniform in the ball in Linf, in L2 as long as epsilon."""

    Params = NormParams
    params: NormParams
    knowledge = "nothing"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x + eps * u`` within ``[0, 1]``, with u uniform in ``[-1, 1]``, or uniform on the unit sphere."""
        eps = float(self.threat(surrogate=False).eps)
        if self.params.norm == "Linf":
            direction = 2 * torch.rand_like(images) - 1
        else:
            direction = F.normalize(torch.randn_like(images).flatten(1)).view_as(images)
        return (images + eps * direction).clamp(0, 1)
