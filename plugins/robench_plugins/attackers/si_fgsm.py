"""FGSM with momentum and gradients averaged over scaled images."""

from __future__ import annotations

from robench import Field
from torch import Tensor, nn

from robench_plugins.attackers.momentum import MomentumAttack, TransferParams, mean_gradient


class SIFGSMParams(TransferParams):
    """Parameters of SI-FGSM; the defaults are the paper's."""

    scales: int = Field(default=5, ge=1, le=20, description="scaled copies of each image, m in the paper")


class SIFGSM(MomentumAttack):
    """As MI-FGSM, with the mean gradient of the images ``x / 2^i``, i from 0 to ``scales - 1``.

    Source: Lin et al., "Nesterov accelerated gradient and scale invariance for adversarial attacks", ICLR 2020
    (arXiv:1908.06281), equation 8 (SIM). The paper's SI-NI-FGSM, with Nesterov's momentum, is
    ``torchattacks-sinifgsm``.
    """

    Params = SIFGSMParams
    params: SIFGSMParams

    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean gradient of the scaled images."""
        changes = [lambda points, power=power: points / 2**power for power in range(self.params.scales)]
        return mean_gradient(network, images, labels, changes)
