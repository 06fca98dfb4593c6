"""A contrastive loss, corrected for false negatives."""

from __future__ import annotations

import math

import torch
from robench import Field
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.objectives.contrastive import Contrastive
from robench_plugins.objectives.mixed import MixedParams


class DebiasedParams(MixedParams):
    """Parameters of the debiased loss."""

    tau_plus: float = Field(default=0.1, ge=0, lt=1, description="assumed share of false negatives; 0 corrects none")
    temperature: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="divisor t of the cosine, such as 0.07; the network's own, 1 / exp(logit_scale), if not given",
    )


class Debiased(Contrastive):
    """Tells each image's prompt from those of the other images, of which an assumed share names the same class.

    The loss is ``-log(p / (p + N g))``. Here ``p = exp(cos(x, x+) / t)`` is of the image and the prompt of its class, N
    is the number of other images in the batch, and over their prompts u
    ``g = max((mean_i exp(cos(x, u_i) / t) - tau_plus p) / (1 - tau_plus), exp(-1 / t))``. Labels only choose prompts;
    they do not tell which of the u are false negatives. With ``tau_plus=0`` it is InfoNCE over the batch. A batch of
    one image has no negatives and a loss of 0.

    Source: Chuang et al., "Debiased contrastive learning", NeurIPS 2020, section 4 (M = 1). Deviation: positives and
    negatives are prompts, not views of images.
    """

    whole_batch = True
    Params = DebiasedParams
    params: DebiasedParams

    def contrast(self, cosines: Tensor, temperature: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the mean over images, computed from logarithms, because ``exp(1 / t)`` overflows for t = 1/100."""
        tau, given = self.params.tau_plus, self.params.temperature
        scale = temperature if given is None else torch.full_like(temperature, 1 / given)
        logits = scale * cosines[:, labels]
        n_negatives = len(logits) - 1
        if n_negatives == 0:
            return 0 * logits.sum()
        positives = logits.diagonal()
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        negatives = logits.masked_fill(own, -torch.inf).logsumexp(dim=1)
        # log(N tau p / sum): from 0 on nothing is left of the negatives, and the lower bound exp(-1 / t) holds.
        removed = positives - negatives + (math.log(tau * n_negatives) if tau else -math.inf)
        clamped = removed > -torch.finfo(removed.dtype).eps
        remaining = (-torch.expm1(removed.masked_fill(clamped, -1))).log()
        estimate = (negatives + remaining - math.log1p(-tau)).masked_fill(clamped, -torch.inf)
        n_g = torch.maximum(estimate, math.log(n_negatives) - scale)
        return F.softplus(n_g - positives).mean()
