"""FGSM with momentum and variance tuning."""

from __future__ import annotations

from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.mi_fgsm import MomentumParams
from robench_plugins.attackers.torchattacks.call import run


class VMIFGSMParams(MomentumParams):
    """Parameters of VMI-FGSM; the defaults are the paper's."""

    neighbours: int = Field(default=20, ge=1, description="images sampled around each step, N in the paper")
    beta: float = Field(default=1.5, gt=0, description="half the side of their neighbourhood, in units of eps")


class VMIFGSM(Attacker):
    """MI-FGSM whose gradient is corrected by how it differs, on average, from those around the previous point.

    Source: Wang and He, "Enhancing the transferability of adversarial attacks through variance tuning", CVPR 2021
    (arXiv:2103.15571), algorithm 1.
    """

    Params = VMIFGSMParams
    params: VMIFGSMParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of MI-FGSM's steps along the tuned gradient."""
        params = self.params
        settings = {**params.settings(), "decay": params.decay, "N": params.neighbours, "beta": params.beta}
        return run("VMIFGSM", network, images, labels, **settings)
