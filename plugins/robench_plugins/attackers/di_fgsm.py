"""FGSM on images that are resized and padded at random."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator
from robench import Field, SpecError
from torch import Tensor, nn

from robench_plugins.attackers.iterated import IteratedAttack
from robench_plugins.attackers.mi_fgsm import MomentumParams
from robench_plugins.attackers.torchattacks.call import run


class DIFGSMParams(MomentumParams):
    """Parameters of DI-FGSM; the defaults are the paper's, with momentum (M-DI2-FGSM there)."""

    decay: float = Field(
        default=1.0, ge=0, description="decay factor of the momentum; 0 makes it the paper's DI2-FGSM, which is weak"
    )
    probability: float = Field(default=0.5, ge=0, le=1, description="probability that a step sees a changed image")
    resize_rate: float = Field(
        default=1.1,
        gt=0,
        le=2,
        description="side after padding, relative to the image: above 1 images are enlarged at random up to it and "
        "padded; below 1 they shrink at random down to it and are padded to their own size",
    )

    @field_validator("resize_rate")
    @classmethod
    def _changes_the_size(cls, rate: float) -> float:
        if rate == 1:
            raise ValueError("1 leaves images as they are; expected more, such as 1.1, or less, such as 0.9")
        return rate

    def settings(self) -> dict[str, Any]:
        """Return the arguments of torchattacks."""
        return {**super().settings(), "diversity_prob": self.probability, "resize_rate": self.resize_rate}


class DIFGSM(IteratedAttack):
    """Iterated FGSM with momentum and gradients of randomly resized and padded images.

    Source: Xie et al., "Improving transferability of adversarial examples with input diversity", CVPR 2019
    (arXiv:1803.06978), section 3.3: M-DI2-FGSM, in which images of 299 px are enlarged to 299 to 330 px and padded to
    330 px, with probability 0.5. Deviations: images are resized by bilinear interpolation instead of to the nearest
    pixel, as in torchattacks; steps and radius are those of the other attacks here. The authors' code has no momentum
    by default (``decay=0``).
    """

    Params = DIFGSMParams
    params: DIFGSMParams
    upstream = "DIFGSM"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images of the last step.

        Raises:
            SpecError: The images are not square.
        """
        height, width = images.shape[-2:]
        if height != width:
            raise SpecError(f"di-fgsm needs square images (got {height} x {width} px); use mi-fgsm instead")
        rate = self.params.resize_rate
        settings = self.params.settings()
        if rate > 1:  # by a pixel at least; half a pixel more, because torchattacks rounds down
            settings["resize_rate"] = max(rate, (height + 1.5) / height)
        return run(self.upstream, network, images, labels, **settings)
