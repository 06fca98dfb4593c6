"""Sim-CLIP: a siamese network of clean and adversarial images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided


class SimCLIPParams(Params):
    """Parameters of Sim-CLIP."""

    anchor: Literal["siamese", "frozen"] = Field(
        default="siamese",
        description="what embeds the clean images: siamese, the network itself, as in the paper; or frozen, the "
        "original network, as in the authors' code",
    )


class SimCLIP(Guided):
    """``-(cos(z(x'), sg z(x)) + cos(z(x), sg z(x'))) / 2``, averaged over the batch; it needs no labels.

    z are embeddings and sg stops the gradient. The adversary raises the squared distance of the embedding from the
    original network's embedding of the clean image, as FARE's does.

    Source: Hossain and Imteaj, "Sim-CLIP: unsupervised siamese adversarial fine-tuning for robust and
    semantically-rich vision-language models", 2024 (arXiv:2407.14971), section 3. In the authors' code the clean
    images are embedded by the frozen original network, so that the second cosine has no gradient: ``anchor=frozen``
    is the first alone, with its weight of 1/2.
    """

    Params = SimCLIPParams
    params: SimCLIPParams

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return both cosines; with a frozen anchor the one that has a gradient."""
        moved = self.embed(adversarial)
        if self.params.anchor == "frozen":
            return {"adversarial": -F.cosine_similarity(moved, self.embed_originally(clean)).mean() / 2}
        still = self.embed(clean)
        return {
            "adversarial": -F.cosine_similarity(moved, still.detach()).mean() / 2,
            "clean": -F.cosine_similarity(still, moved.detach()).mean() / 2,
        }

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the squared distance from the original embeddings."""
        return self.drift(clean)
