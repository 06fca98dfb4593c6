"""FGSM on inputs that are resized and padded at random."""

from __future__ import annotations

from robench import Attacker, Field, SpecError
from torch import Tensor, nn

from robench_plugins.attackers.mi_fgsm import MomentumParams
from robench_plugins.attackers.torchattacks.call import run


class DIFGSMParams(MomentumParams):
    """Parameters of DI-FGSM; the defaults are the paper's, without momentum."""

    decay: float = Field(default=0.0, ge=0, description="decay factor of the momentum; 1 makes it M-DI-FGSM")
    probability: float = Field(default=0.5, ge=0, le=1, description="probability that a step sees a transformed image")
    resize_rate: float = Field(
        default=0.9, gt=0, lt=1, description="smallest side after resizing, relative to the image"
    )


class DIFGSM(Attacker):
    """Iterated FGSM whose gradients are those of randomly resized and padded images.

    Source: Xie et al., "Improving transferability of adversarial examples with input diversity", CVPR 2019
    (arXiv:1803.06978), section 3.3. The paper enlarges 299 px to 330 px and pads; here, as in torchattacks, images
    shrink to no less than `resize_rate` of their side and are padded to their own size.
    """

    Params = DIFGSMParams
    params: DIFGSMParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of MI-FGSM's steps with gradients through a random transformation.

        Raises:
            SpecError: The images are not square.
        """
        height, width = images.shape[-2:]
        if height != width:
            raise SpecError(f"di-fgsm needs square images (got {height} x {width} px); use mi-fgsm instead")
        params = self.params
        settings = {
            **params.settings(),
            "decay": params.decay,
            "diversity_prob": params.probability,
            "resize_rate": params.resize_rate,
        }
        return run("DIFGSM", network, images, labels, **settings)
