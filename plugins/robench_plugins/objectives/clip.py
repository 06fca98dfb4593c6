"""CLIP's own loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import Contrastive


class SymmetricContrastive(Contrastive):
    """Finds the prompt of each image of a batch, and the image of each prompt.

    It is the mean of two cross-entropies of the scaled cosines ``(N, N)`` between images and the prompts of their
    classes, over rows and over columns. Images of one class share a prompt, so their targets are uniform. If all
    classes differ this is CLIP's loss; for an image of a class with n images in the batch it is at least log n.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021,
    figure 3; targets of Yang et al., "Unified contrastive learning in image-text-label space", CVPR 2022, section
    3.2. Deviation: texts are the prompts of the classes, not captions.
    """

    whole_batch = True

    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the mean of both cross-entropies."""
        logits = temperature * cosines[:, labels]
        same = (labels[:, None] == labels).float()
        targets = same / same.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
