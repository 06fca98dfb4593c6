"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import torch
from robench import Field
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import Contrastive
from robench_plugins.objectives.mixed import MixedParams


class PairwiseSigmoidParams(MixedParams):
    """Parameters of the sigmoid loss."""

    temperature: float | None = Field(
        default=None, ge=1, description="factor t on the cosine; the network's own, exp(logit_scale), if not given"
    )
    bias: float | None = Field(
        default=None,
        description="bias b added to t * cos; if not given the network's own, or the one with the smallest loss on the "
        "batch for a network without",
    )


class PairwiseSigmoid(Contrastive):
    """Decides for every pair of an image and a class prompt whether they belong together.

    The loss is ``-1/N sum_ik log sigmoid(z_ik (t cos_ik + b))`` over N images and K classes, with z = 1 for an image's
    own class and -1 for the others.

    Source: Zhai et al., "Sigmoid loss for language image pre-training", ICCV 2023, section 3.2. Deviations: each image
    is paired with the prompts of all classes, not of the batch. t and b are not trained; the paper learns them from
    t = 10 and b = -10. The right bias is about ``-t`` times a cosine between those of right and wrong pairs: -10 suits
    t = 10, but saturates every pair at CLIP's t = 100. A SigLIP brings the t and b that it learned. For a network
    without a bias the default is the one with the smallest loss on the batch, where learning would take it. Then
    only differences of cosines count, as for the classifier.
    """

    whole_batch = True
    Params = PairwiseSigmoidParams
    params: PairwiseSigmoidParams

    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the sum over classes, averaged over images."""
        params = self.params
        logits = (temperature if params.temperature is None else params.temperature) * cosines
        added = bias if params.bias is None else params.bias
        if added is None:
            added = best_bias(logits.detach())
        signs = 2 * F.one_hot(labels, cosines.shape[1]) - 1
        return -F.logsigmoid(signs * (logits + added)).sum() / len(labels)


def best_bias(logits: Tensor) -> Tensor:
    """Return the bias, a scalar, with the smallest loss of `logits` ``(N, K)``, by bisection.

    There the mean probability of a pair is the share of right pairs, 1/K. As the loss is smallest, its gradient is the
    same whether or not it passes through the bias.
    """
    share = torch.full_like(logits[0, 0], 1 / logits.shape[1])
    low, high = share.logit() - logits.max(), share.logit() - logits.min()
    for _ in range(40):
        middle = (low + high) / 2
        too_high = torch.sigmoid(logits + middle).mean() > share
        low, high = torch.where(too_high, low, middle), torch.where(too_high, middle, high)
    return (low + high) / 2
