"""DeepFool."""

from __future__ import annotations

from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.eight_bit import shortest_fooling
from robench_plugins.attackers.params import L2Params
from robench_plugins.attackers.torchattacks.call import run


class DeepFoolParams(L2Params):
    """Parameters of DeepFool; the defaults are the paper's."""

    steps: int = Field(default=50, ge=1, description="most linearisations of the network")
    overshoot: float = Field(
        default=0.02, ge=0, description="how far to step beyond the boundary, as a share of the step"
    )


class DeepFool(Attacker):
    """Steps to the nearest boundary of the linearised network until the class changes: a short L2 perturbation.

    The attack does not know the radius. A perturbation within it is lengthened until its 8-bit image fools the network.
    A longer one is cut to the radius, and its image breaks only if it still fools. Images made on a surrogate barely
    cross its boundary, and transfer little.

    Source: Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool: a simple and accurate method to fool deep neural networks",
    CVPR 2016 (arXiv:1511.04599), algorithm 2, with all classes as candidates. Deviation: the overshoot is added
    at each step.
    """

    Params = DeepFoolParams
    params: DeepFoolParams
    norm = "L2"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the shortest 8-bit images found that fool `network`."""
        settings = {"steps": self.params.steps, "overshoot": self.params.overshoot}
        found = run("DeepFool", network, images, labels, **settings)
        return shortest_fooling(network, images, labels, found, self.threat(surrogate=False))
