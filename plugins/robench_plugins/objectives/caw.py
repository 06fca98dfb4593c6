"""CAW: confidence-aware weighting."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided
from robench_plugins.objectives.trades import divergence


class CAWParams(Params):
    """Parameters of CAW."""

    alpha: float = Field(default=1.0, ge=0, description="weight of the confidence-aware divergence")
    beta: float = Field(default=1.0, ge=0, description="weight of the distance from the original embeddings")


class CAW(Guided):
    """``CE(p(x'), y) + alpha (1 - p_y(x')) KL(p(x') || p(x)) + beta |z(x') - z0(x')|``, averaged over the batch.

    p are predictions, z embeddings as the projection gives them, and z0 those of the original network. Images whose
    class the network is unsure of under attack count more. Gradients pass through all of it. It works on any
    classifier that names its encoder.

    Source: Naghavian and Tavassolipour, "Zero-shot robustness of vision language models via confidence-aware
    weighting", 2025 (arXiv:2510.02913), section 3. There is no official code. Deviations: the values of alpha and beta
    are ours; the paper's were not at hand.
    """

    Params = CAWParams
    params: CAWParams

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the three terms; a weight of 0 saves a forward pass."""
        params, logits = self.params, network(adversarial).float()
        found = {"adversarial": F.cross_entropy(logits, labels)}
        if params.alpha:
            unsure = 1 - logits.softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
            found["unsure"] = params.alpha * (unsure * divergence(logits, network(clean).float())).mean()
        if params.beta:
            moved = self.embed(adversarial) - self.embed_originally(adversarial)
            found["original"] = params.beta * moved.norm(dim=1).mean()
        return found
