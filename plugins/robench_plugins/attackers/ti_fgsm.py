"""FGSM with gradients averaged over translations."""

from __future__ import annotations

from typing import Any, Literal

from robench import Field

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.mi_fgsm import MomentumParams


class TIFGSMParams(MomentumParams):
    """Parameters of TI-FGSM; the defaults are the paper's for 299 px."""

    kernel: Literal["gaussian", "linear", "uniform"] = Field(
        default="gaussian", description="kernel that smooths the gradient"
    )
    kernel_size: int = Field(default=15, ge=1, description="side of the kernel, in pixels")

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks, without the input diversity of another paper, its default."""
        kernel = {"kernel_name": self.kernel, "len_kernel": self.kernel_size}
        return {**super().settings(), **kernel, "diversity_prob": 0.0}


class TIFGSM(IteratedAttack):
    """As MI-FGSM, with gradients convolved with a kernel, which approximates a mean over shifted images.

    Source: Dong et al., "Evading defenses to transferable adversarial examples by translation-invariant attacks", CVPR
    2019 (arXiv:1904.02884), section 3.2. It is TI-MI-FGSM there; with ``decay=0,steps=1`` it is TI-FGSM.
    """

    Params = TIFGSMParams
    upstream = "TIFGSM"
