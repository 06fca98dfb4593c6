"""Random noise: a control."""

from __future__ import annotations

import torch
from robench import Attacker
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.eight_bit import constraint_of
from robench_plugins.attackers.params import AnyBallParams


class Noise(Attacker):
    """Random noise, a control that every attack must beat: uniform in the ball in Linf, in L2 as long as epsilon.

    In any other constraint it is the noise that the constraint has for the checks, as far as the ball allows.
    """

    Params = AnyBallParams
    params: AnyBallParams
    knowledge = "nothing"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x + eps * u`` within ``[0, 1]``, with u uniform in ``[-1, 1]``, or uniform on the unit sphere."""
        threat = self.threat(surrogate=False)
        eps = float(threat.eps)
        if threat.norm not in ("Linf", "L2"):
            return constraint_of(threat).noise(images, threat.eps)
        if self.params.norm == "Linf":
            direction = 2 * torch.rand_like(images) - 1
        else:
            direction = F.normalize(torch.randn_like(images).flatten(1)).view_as(images)
        return (images + eps * direction).clamp(0, 1)
