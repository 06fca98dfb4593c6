"""FGSM with gradients that are averaged over translations."""

from __future__ import annotations

from typing import Literal

from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.mi_fgsm import MomentumParams
from robench_plugins.attackers.torchattacks.call import run


class TIFGSMParams(MomentumParams):
    """Parameters of TI-FGSM; the defaults are the paper's for 299 px."""

    kernel: Literal["gaussian", "linear", "uniform"] = Field(default="gaussian", description="kernel of the gradient")
    kernel_size: int = Field(default=15, ge=1, description="side of the kernel, in pixels")


class TIFGSM(Attacker):
    """MI-FGSM whose gradients are convolved with a kernel, which stands for an average over shifted images.

    Source: Dong et al., "Evading defenses to transferable adversarial examples by translation-invariant attacks", CVPR
    2019 (arXiv:1904.02884), section 3.2; TI-MI-FGSM there, and with ``decay=0,steps=1`` its TI-FGSM.
    """

    Params = TIFGSMParams
    params: TIFGSMParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of MI-FGSM's steps along the convolved gradient."""
        params = self.params
        settings = {
            **params.settings(),
            "decay": params.decay,
            "kernel_name": params.kernel,
            "len_kernel": params.kernel_size,
            # torchattacks mixes in the input diversity of another paper unless told not to.
            "diversity_prob": 0.0,
        }
        return run("TIFGSM", network, images, labels, **settings)
