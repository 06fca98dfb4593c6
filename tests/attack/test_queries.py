"""An attack that says it sees logits alone gets logits alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from robench import Attacker, AttackParams, ImageSet, PluginError
from robench.attack.perturbation import perturb_set
from torch import Tensor, nn
from torch.nn import functional as F

CPU = torch.device("cpu")
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
DATA = ImageSet(images=np.full((4, 3, 4, 4), 128, np.uint8), labels=np.zeros(4, np.int64))


class Peeking(Attacker):
    """Says that it asks queries, and takes gradients."""

    Params = AttackParams
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(pixels), labels), pixels)
        return images + float(self.params.eps) * gradient.sign()


class Asking(Peeking):
    """Looks at the logits, as it says."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits = network(images)
        assert not logits.requires_grad
        return images + float(self.params.eps) * logits.sum().sign()


def attacked(attack: Attacker) -> np.ndarray:
    threat = attack.threat(surrogate=False)
    assert threat.eps == Fraction(8, 255)
    return perturb_set(attack, NETWORK, DATA, threat=threat, device=CPU, seed=0)[0]


def test_gradients_under_the_name_of_queries_are_refused() -> None:
    with pytest.raises(PluginError, match=r"sees logits alone.*asks for gradients; expected knowledge='white-box'"):
        attacked(Peeking())


def test_logits_are_given_without_a_graph() -> None:
    assert attacked(Asking()).shape == DATA.images.shape
