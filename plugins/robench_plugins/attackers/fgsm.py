"""The fast gradient method."""

from __future__ import annotations

import torch
from robench import Attacker, NormParams
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.torchattacks.call import run


class FGSM(Attacker):
    """One step of length epsilon from the clean image: along the sign of the gradient in Linf, along itself in L2.

    Source: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, section 4; for L2
    the fast gradient method of Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018, equation 3.
    """

    Params = NormParams
    params: NormParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x + eps * sign(grad_x CE)``, or ``x + eps * grad_x CE / ||grad_x CE||_2``, within ``[0, 1]``."""
        eps = float(self.threat(surrogate=False).eps)
        if self.params.norm == "Linf":
            return run("FGSM", network, images, labels, eps=eps)
        start = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(start), labels, reduction="sum"), start)
        return (images + eps * F.normalize(gradient.flatten(1), eps=1e-20).view_as(images)).clamp(0, 1)
