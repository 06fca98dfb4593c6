"""FGSM on images that are resized and padded at random."""

from __future__ import annotations

from typing import Any

from robench import Field, SpecError
from torch import Tensor, nn

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.mi_fgsm import MomentumParams


class DIFGSMParams(MomentumParams):
    """Parameters of DI-FGSM; the defaults are the paper's, without momentum."""

    decay: float = Field(default=0.0, ge=0, description="decay factor of the momentum; 1 makes it M-DI-FGSM")
    probability: float = Field(default=0.5, ge=0, le=1, description="probability that a step sees a changed image")
    resize_rate: float = Field(
        default=0.9, gt=0, lt=1, description="smallest side after resizing, relative to the image"
    )

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks."""
        return {**super().settings(), "diversity_prob": self.probability, "resize_rate": self.resize_rate}


class DIFGSM(IteratedAttack):
    """Iterated FGSM with gradients of randomly resized and padded images.

    Source: Xie et al., "Improving transferability of adversarial examples with input diversity", CVPR 2019
    (arXiv:1803.06978), section 3.3. Deviation, as in torchattacks: images shrink to no less than `resize_rate` of their
    side and are padded to their own size; the paper enlarges 299 px to 330 px and pads.
    """

    Params = DIFGSMParams
    upstream = "DIFGSM"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images of the last step.

        Raises:
            SpecError: The images are not square.
        """
        height, width = images.shape[-2:]
        if height != width:
            raise SpecError(f"di-fgsm needs square images (got {height} x {width} px); use mi-fgsm instead")
        return super().perturb(network, images, labels)
