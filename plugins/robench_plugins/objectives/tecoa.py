"""TeCoA: text-guided contrastive adversarial training."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import Contrastive


class TeCoA(Contrastive):
    """Pulls each image towards the prompt of its class, and pushes it away from those of the others.

    The loss is ``-log softmax_k(cos(z, t_k) * exp(logit_scale))[label]``, averaged over the batch: the cross-entropy of
    the scaled cosines. With one class it is 0.

    Source: Mao et al., "Understanding zero-shot adversarial robustness for large-scale models", ICLR 2023, eq. 3
    (``clean_weight=0``). The paper trains the whole vision tower on white-box examples (``full+tecoa`` with
    ``adversary=white-box``).
    """

    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of the scaled cosines."""
        return F.cross_entropy(temperature * cosines, labels)
