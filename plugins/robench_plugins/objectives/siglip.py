"""Pairwise sigmoid loss."""

from __future__ import annotations

import torch
from robench import Field
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import Contrastive
from robench_plugins.objectives.mixed import MixedParams


class PairwiseSigmoidParams(MixedParams):
    """The line from cosines to log odds."""

    temperature: float | None = Field(
        default=None, ge=1, description="factor t on the cosine; the network's own, exp(logit_scale), if not given"
    )
    bias: float | None = Field(
        default=None, description="added to t * cos; what makes the batch's loss least if not given"
    )


class PairwiseSigmoid(Contrastive):
    """Decides of every pair of an image and a class prompt whether they belong together.

    ``-1/N sum_ik log sigmoid(z_ik (t cos_ik + b))`` over N images and K classes, z = 1 for an image's own class
    and -1 for the others.

    Source: Zhai et al., "Sigmoid loss for language image pre-training", ICCV 2023, section 3.2. Deviations: pairs are
    images and the prompts of all classes, not of the batch; and t and b, which the paper learns from t = 10 and
    b = -10, are not trained. A CLIP was never asked for a bias: the right one lies near ``-t`` times a cosine between
    those of right and wrong pairs, so that -10 suits t = 10 and saturates every pair at t = 100. By default it
    is therefore the one that minimises the batch's loss, where learning would take it; only cosines are then
    compared, as by the classifier, and never all raised or lowered at once.
    """

    whole_batch = True
    Params = PairwiseSigmoidParams
    params: PairwiseSigmoidParams

    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor) -> Tensor:
        """Return the sum over classes, averaged over images."""
        params = self.params
        logits = (temperature if params.temperature is None else params.temperature) * cosines
        bias = best_bias(logits.detach()) if params.bias is None else params.bias
        signs = 2 * F.one_hot(labels, cosines.shape[1]) - 1
        return -F.logsigmoid(signs * (logits + bias)).sum() / len(labels)


def best_bias(logits: Tensor) -> Tensor:
    """Return the bias, a scalar, that minimises the loss of `logits` ``(N, K)``, by bisection.

    The derivative of the loss with respect to the bias vanishes where the mean probability of a pair is the share of
    right pairs, 1/K. As the loss is least there, its gradient is the same whether or not it passes through the bias.
    """
    share = logits.new_tensor(1 / logits.shape[1])
    low, high = share.logit() - logits.max(), share.logit() - logits.min()
    for _ in range(40):
        middle = (low + high) / 2
        too_high = torch.sigmoid(logits + middle).mean() > share
        low, high = torch.where(too_high, low, middle), torch.where(too_high, middle, high)
    return (low + high) / 2
