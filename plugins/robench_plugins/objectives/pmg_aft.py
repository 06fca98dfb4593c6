"""PMG-AFT: adversarial fine-tuning guided by the pre-trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided, cosines
from robench_plugins.objectives.trades import divergence


class PMGAFTParams(Params):
    """Parameters of PMG-AFT."""

    alpha: float = Field(default=1.0, ge=0, description="weight of the divergence from the original model's prediction")
    beta: float = Field(default=1.0, ge=0, description="weight of the divergence from the clean prediction")
    unscaled: bool = Field(
        default=False,
        description="as the authors' code: predictions are the softmax of cosines without the temperature, and "
        "divergences are added up over the batch",
    )


class PMGAFT(Guided):
    """``CE(p(x'), y) + alpha KL(p0(x') || p(x')) + beta KL(p(x) || p(x'))``, averaged over the batch.

    p are the predictions of the network and p0 those of the original one. Gradients pass through p(x) and p(x').

    Source: Wang et al., "Pre-trained model guided fine-tuning for zero-shot adversarial robustness", CVPR 2024, eqs. 5
    to 8, with the directions of the divergences in the authors' code. That code brings the scaled class embeddings to
    unit length again and so drops the temperature in training, attack and score, and it adds divergences up over the
    batch: ``unscaled=true`` trains and attacks so. Deviation: scores always have the temperature.
    """

    Params = PMGAFTParams
    params: PMGAFTParams
    by_text = True

    @property
    def whole_batch(self) -> bool:  # type: ignore[override]
        """Sums over a batch are no mean over its images."""
        return self.params.unscaled

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the cross-entropy and both divergences; a weight of 0 saves a forward pass."""
        params, logits = self.params, self._logits(network, adversarial)
        found = {"adversarial": F.cross_entropy(logits, labels)}
        if params.alpha:
            found["original"] = params.alpha * self._gather(divergence(self._original(adversarial), logits))
        if params.beta:
            found["clean"] = params.beta * self._gather(divergence(self._logits(network, clean), logits))
        return found

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Return the cross-entropy, which the paper's adversary maximises, if it is of unscaled cosines."""
        if not self.params.unscaled:
            return None
        return lambda images: F.cross_entropy(self._logits(network, images), labels, reduction="none")

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        if self.params.unscaled:
            return cosines(network, images)
        logits: Tensor = network(images)
        return logits.float()

    def _original(self, images: Tensor) -> Tensor:
        if self.params.unscaled:
            return cosines(self.original.network, images).detach()
        return self.predict_originally(images)

    def _gather(self, divergences: Tensor) -> Tensor:
        return divergences.sum() if self.params.unscaled else divergences.mean()
