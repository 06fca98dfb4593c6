"""AGFT: alignment-guided fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided, cosines


class AGFTParams(Params):
    """Parameters of AGFT; the defaults are those of the authors' command."""

    scale: float = Field(default=180.0, gt=0, description="factor on the cosines of the network that is trained")
    ratio: float = Field(
        default=0.4, gt=0, description="factor on `scale` for the original network; below 1 softens its prediction"
    )


class AGFT(Guided):
    """The cross-entropy of the prediction at x' against the original network's softened prediction at x.

    The loss is ``-sum_k q_k log softmax(scale cos(x', t))_k`` with ``q = softmax(ratio scale cos0(x, t))``, averaged
    over the batch; it needs no labels. It is the Kullback-Leibler divergence from q, but for a constant. The adversary
    raises the same.

    Source: Cui et al., "AGFT: alignment-guided fine-tuning for zero-shot adversarial robustness of vision-language
    models", CVPR 2026 (arXiv:2603.29410), section 3, and the authors' code. Scores have the network's own temperature.
    """

    Params = AGFTParams
    params: AGFTParams
    by_text = True

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the mean cross-entropy."""
        return {"alignment": self.score(network, clean, labels)(adversarial).mean()}

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the cross-entropy of each image against the original prediction at the clean one."""
        scale = self.params.scale
        with torch.no_grad():
            wanted = (self.params.ratio * scale * cosines(self.original.network, clean)).softmax(dim=1)

        def from_original(images: Tensor) -> Tensor:
            return F.cross_entropy(scale * cosines(network, images), wanted, reduction="none")

        return from_original
