"""The fast gradient sign method."""

from __future__ import annotations

import torchattacks
from robench import Attacker
from torch import Tensor, nn


class FGSM(Attacker):
    """One step of length epsilon along the sign of the gradient, from the clean image.

    Source: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, section 4.
    """

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``clip(x + eps * sign(grad_x CE), 0, 1)``."""
        attack = torchattacks.FGSM(network, eps=float(self.params.eps))
        # forward(), unlike a call, leaves the modes of the network alone.
        adversarial: Tensor = attack.forward(images, labels)
        return adversarial
