"""FGSM with momentum and variance tuning."""

from __future__ import annotations

from typing import Any

from robench import Field

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.mi_fgsm import MomentumParams


class VMIFGSMParams(MomentumParams):
    """Parameters of VMI-FGSM; the defaults are the paper's."""

    neighbours: int = Field(default=20, ge=1, description="images sampled around each step, N in the paper")
    beta: float = Field(default=1.5, gt=0, description="half the side of their neighbourhood, in units of eps")

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks."""
        return {**super().settings(), "N": self.neighbours, "beta": self.beta}


class VMIFGSM(IteratedAttack):
    """As MI-FGSM, with each gradient corrected by its mean difference from those around the previous point.

    Source: Wang and He, "Enhancing the transferability of adversarial attacks through variance tuning", CVPR 2021
    (arXiv:2103.15571), algorithm 1.
    """

    Params = VMIFGSMParams
    upstream = "VMIFGSM"
