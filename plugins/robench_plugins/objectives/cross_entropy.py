"""Cross-entropy of clean and adversarial images in proportion."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.mixed import Mixed


class CrossEntropy(Mixed):
    """Adversarial training: ``w * CE(clean) + (1 - w) * CE(adversarial)``, on any classifier.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, eq. 2.1
    (``clean_weight=0``); Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015, section 6
    (``clean_weight=0.5``). With ``clean_weight=1`` it is ordinary training.
    """

    def on(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of the labels."""
        return F.cross_entropy(network(images).float(), labels)
