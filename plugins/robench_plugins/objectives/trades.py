"""TRADES: accuracy on clean images against stability around them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from robench import Field, Objective, Params
from torch import Tensor, nn
from torch.nn import functional as F


class TRADESParams(Params):
    """Parameters of TRADES."""

    beta: float = Field(
        default=6.0,
        ge=0,
        description="weight of the divergence, 1/lambda in the paper; 6, as in its table 5 and the authors' training "
        "script (their function trades_loss has 1)",
    )


class TRADES(Objective):
    """``CE(f(x), y) + beta * KL(f(x) || f(x'))``, averaged over the batch, on any classifier.

    At the clean images the divergence and its gradient start at 0, so a white-box adversary needs a random start.

    Source: Zhang et al., "Theoretically principled trade-off between robustness and accuracy", ICML 2019, eq. 5, with
    the Kullback-Leibler divergence of the authors' code; gradients pass through both predictions.
    ``adversary=white-box`` is the adversary of that code: a start of 0.001 times a standard normal, then 10 steps of
    0.007 within 0.031. Deviation: the radius is 8/255 unless ``eps`` says otherwise, and the step is 7/31 of it.
    """

    Params = TRADESParams
    params: TRADESParams

    def white_box(self, eps: Fraction) -> str:
        """Return the adversary of the authors' code, with a step of 7/31 of the radius."""
        return f"pgd:start=gaussian,alpha={eps * 7 / 31},steps=10"

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of both terms; with ``beta=0`` adversarial images do not enter the network."""
        logits = network(clean).float()
        loss = F.cross_entropy(logits, labels)
        if self.params.beta == 0:
            return loss
        return loss + self.params.beta * divergence(logits, network(adversarial).float()).mean()

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the divergence of each image from the clean prediction, which the paper's adversary maximises."""
        reference = predict(network, clean)

        def from_clean(images: Tensor) -> Tensor:
            return divergence(reference, network(images).float())

        return from_clean


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Return ``KL(softmax(logits) || softmax(others))`` of each row, ``(N,)``, in nats."""
    terms = F.kl_div(others.log_softmax(dim=1), logits.log_softmax(dim=1), reduction="none", log_target=True)
    return terms.sum(dim=1)


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Return the logits in evaluation mode, as an attack sees them, without gradients; modes return afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad():
            logits: Tensor = network(images).float()
        return logits
    finally:
        for module in training:
            module.training = True
