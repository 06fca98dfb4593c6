"""TGA-ZSR: text-guided attention for zero-shot robustness."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import image_text
from robench_plugins.objectives.guided import Guided


class TGAZSRParams(Params):
    """Parameters of TGA-ZSR."""

    alpha: float = Field(default=0.08, ge=0, description="weight of the attention to adversarial images")
    beta: float = Field(default=0.05, ge=0, description="weight of the attention to clean images")
    size: int = Field(default=224, ge=1, description="height and width to which maps are enlarged, in pixels")


class TGAZSR(Guided):
    """``CE(p(x'), y) + alpha |A(x') - A0(x)| + beta |A(x) - A0(x)|``, averaged over the batch.

    A(x) is the map of attention of the class's prompt: the cosine between it and each patch, brought to ``[0, 1]`` by
    its smallest and largest value, and enlarged bilinearly. A0 is that of the original network, and ``|.|`` the
    Euclidean length over pixels.

    Source: Yu et al., "Text-guided attention is all you need for zero-shot robustness in vision-language models",
    NeurIPS 2024, eqs. 4 to 8, and the authors' code. Deviation: patches are brought to unit length each; the code
    divides each channel by its length over all tokens. Patches are those of the part ``patches``. What the paper calls
    attention is no self-attention of the tower, so the part ``attention`` is not used.
    """

    Params = TGAZSRParams
    params: TGAZSRParams
    by_text = True

    def prepare(self, network: nn.Module) -> None:
        """Keep the original network.

        Raises:
            PluginError: It does not compare images with text, or gives no features of patches.
        """
        super().prepare(network)
        self.setting.part("patches")

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return the cross-entropy and both distances; a weight of 0 saves a forward pass."""
        found = {"adversarial": F.cross_entropy(network(adversarial).float(), labels)}
        texts = F.normalize(image_text(network).class_embeddings().float(), dim=-1)[labels]
        patches = self.setting.part("patches")
        with torch.no_grad():
            original = attention(self.original.part("patches")(clean), texts, self.params.size)
        for name, weight, images in (
            ("adversarial attention", self.params.alpha, adversarial),
            ("clean attention", self.params.beta, clean),
        ):
            if weight:
                moved = attention(patches(images), texts, self.params.size) - original
                found[name] = weight * moved.norm(dim=1).mean()
        return found


def attention(patches: Tensor, texts: Tensor, size: int) -> Tensor:
    """Return maps ``float32 (N, size * size)`` of the attention of texts ``(N, D)`` to patches ``(N, P, D)``."""
    cosines = (F.normalize(patches.float(), dim=-1) @ texts[:, :, None]).squeeze(-1)
    low, high = cosines.amin(1, keepdim=True), cosines.amax(1, keepdim=True)
    maps = (cosines - low) / (high - low).clamp_min(1e-12)
    side = math.isqrt(maps.shape[1])
    return F.interpolate(maps.view(-1, 1, side, side), size, mode="bilinear").flatten(1)
