"""FGSM with momentum, plain and Nesterov's."""

from __future__ import annotations

from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.params import IterativeParams
from robench_plugins.attackers.torchattacks.call import run


class MomentumParams(IterativeParams):
    """Parameters of the attacks with momentum."""

    decay: float = Field(default=1.0, ge=0, description="decay factor of the momentum, mu in the papers")


class MIFGSM(Attacker):
    """Steps along the sign of the accumulated gradients, each divided by its mean absolute value.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018 (arXiv:1710.06081), algorithm 1. The
    mean instead of the L1 norm scales all gradients of an image alike, which the sign does not see.
    """

    Params = MomentumParams
    params: MomentumParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of ``g = decay * g + grad / |grad|``, ``x_(t+1) = project(x_t + alpha * sign(g))``."""
        settings = {**self.params.settings(), "decay": self.params.decay}
        return run("MIFGSM", network, images, labels, **settings)


class NIFGSM(Attacker):
    """As MI-FGSM, with the gradient taken where the momentum would lead.

    Source: Lin et al., "Nesterov accelerated gradient and scale invariance for adversarial attacks", ICLR 2020
    (arXiv:1908.06281), equations 6 to 8.
    """

    Params = MomentumParams
    params: MomentumParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of MI-FGSM's steps with gradients at ``x_t + alpha * decay * g``."""
        settings = {**self.params.settings(), "decay": self.params.decay}
        return run("NIFGSM", network, images, labels, **settings)
