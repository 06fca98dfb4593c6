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
    overshoot: float = Field(default=0.02, ge=0, description="how far to step beyond the boundary, relative")


class DeepFool(Attacker):
    """Steps to the nearest boundary of the linearised network until the class changes: a short L2 perturbation.

    The attack minimises the length and does not know the radius. A perturbation found within the radius is lengthened
    just so far that its 8-bit image still fools; a longer one is cut to the radius, and its image counts as broken only
    if it fools even so, which the core decides. Images made on a surrogate barely cross its boundary and transfer
    little.

    Source: Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool: a simple and accurate method to fool deep neural networks",
    CVPR 2016 (arXiv:1511.04599), algorithm 2; with the overshoot at each step and all classes as candidates.
    """

    Params = DeepFoolParams
    params: DeepFoolParams
    norm = "L2"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the shortest 8-bit images found that fool `network`."""
        settings = {"steps": self.params.steps, "overshoot": self.params.overshoot}
        found = run("DeepFool", network, images, labels, **settings)
        return shortest_fooling(network, images, labels, found, self.threat(surrogate=False))
