"""FAP: few-shot adversarial prompt learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided
from robench_plugins.objectives.trades import divergence, predict


class FAPParams(Params):
    """Parameters of FAP."""

    weight: float = Field(default=1.0, ge=0, description="lambda, the weight of the adversarial term")


class FAP(Guided):
    """``CE(p(x), y) + weight (1 + cos(z(x), z(x'))) KL(p(x) || p(x'))``, averaged over the batch.

    p are predictions and z embeddings. The adversary raises the divergence alone.

    Source: Zhou et al., "Few-shot adversarial prompt learning on vision-language models", NeurIPS 2024, eqs. 6 and 7,
    and the authors' code, which trains prompts of text and images together.
    """

    Params = FAPParams
    params: FAPParams

    def prepare(self, network: nn.Module) -> None:
        """Check that the model names its encoder; no copy is kept."""
        self.setting.part("encoder")

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the clean and the adversarial term."""
        logits = network(clean).float()
        alike = 1 + F.cosine_similarity(self.embed(clean), self.embed(adversarial))
        apart = divergence(logits, network(adversarial).float())
        return {
            "clean": F.cross_entropy(logits, labels),
            "adversarial": self.params.weight * (alike * apart).mean(),
        }

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the divergence of each image from the clean prediction."""
        reference = predict(network, clean)
        return lambda images: divergence(reference, network(images).float())
