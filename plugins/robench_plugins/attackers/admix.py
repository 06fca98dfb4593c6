"""FGSM with momentum and gradients of images mixed with others and scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from robench import Field
from torch import Tensor, nn

from robench_plugins.attackers.momentum import mean_gradient
from robench_plugins.attackers.si_fgsm import SIFGSM, SIFGSMParams


class AdmixParams(SIFGSMParams):
    """Parameters of Admix; the defaults are the paper's: 5 scales (m1), 3 mixes (m2) of strength 0.2 (eta)."""

    mixes: int = Field(default=3, ge=1, description="other images that each is mixed with at a step, m2 in the paper")
    strength: float = Field(default=0.2, ge=0, description="share of the other image, eta in the paper")


class Admix(SIFGSM):
    """As SI-FGSM, with the mean gradient of the images ``(x + strength * x') / 2^i``, where x' is of another class.

    Source: Wang, He, Wang and He, "Admix: enhancing the transferability of adversarial attacks", ICCV 2021
    (arXiv:2102.00436), algorithm 1 with the defaults of the authors' code, which mixes images of one batch, as here.
    Deviation: that code permutes the batch, so that an image may meet its own class; here it does not, unless the batch
    has no other.
    """

    Params = AdmixParams
    params: AdmixParams

    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean gradient of the mixed and scaled images."""
        return mean_gradient(network, images, labels, self._changes(images, labels))

    def _changes(self, images: Tensor, labels: Tensor) -> Iterator[Callable[[Tensor], Tensor]]:
        # A weight close to zero, so that an image whose class is alone in the batch meets any.
        others = (labels[:, None] != labels[None]).float() + 1e-12
        for _ in range(self.params.mixes):
            mixed = self.params.strength * images[torch.multinomial(others, 1).squeeze(1)]
            for power in range(self.params.scales):
                yield lambda points, mixed=mixed, power=power: (points + mixed) / 2**power  # type: ignore[misc]
