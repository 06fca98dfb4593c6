"""FGSM with momentum, plain and Nesterov's."""

from __future__ import annotations

from typing import Any

from robench import Field

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.params import IterativeParams


class MomentumParams(IterativeParams):
    """Parameters of attacks with momentum."""

    decay: float = Field(default=1.0, ge=0, description="decay factor of the momentum, mu in the papers")

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks."""
        return {**super().settings(), "decay": self.decay}


class MIFGSM(IteratedAttack):
    """Steps along the sign of the accumulated gradients, each divided by its mean absolute value.

    ``g = decay * g + grad / |grad|``, ``x_(t+1) = project(x_t + alpha * sign(g))``.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018 (arXiv:1710.06081), algorithm 1.
    Deviation: the mean replaces the L1 norm, which scales all gradients of an image alike and changes no sign.
    """

    Params = MomentumParams
    upstream = "MIFGSM"


class NIFGSM(IteratedAttack):
    """As MI-FGSM, with gradients at ``x_t + alpha * decay * g``, where the momentum leads.

    Source: Lin et al., "Nesterov accelerated gradient and scale invariance for adversarial attacks", ICLR 2020
    (arXiv:1908.06281), equations 6 to 8.
    """

    Params = MomentumParams
    upstream = "NIFGSM"
