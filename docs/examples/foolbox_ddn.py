"""Somebody else's attack as a plugin in one file: Foolbox's decoupled direction and norm, which needs `foolbox`.

robench run --plugin foolbox_ddn.py --attack ddn:eps=1.0,n=200 --tuner tecoa
"""

from fractions import Fraction

import foolbox
from robench import Attacker, AttackParams, Component, Field, Radius, hookimpl
from torch import Tensor, nn


class DDNParams(AttackParams):
    """Parameters, as users give them: ddn:eps=1.0,steps=20."""

    eps: Radius = Field(Fraction(128, 255), description="radius of the L2 ball in [0, 1] pixel units")
    steps: int = Field(50, ge=1, description="gradient steps")
    gamma: float = Field(0.05, gt=0, lt=1, description="by which the norm grows or shrinks in a step")


class DDN(Attacker):
    """Finds the nearest misclassified image, and goes in its direction to the surface of the ball.

    Where the border of a class is crossed by a hair, rounding to 8 bits would undo it.
    """

    Params = DDNParams
    params: DDNParams
    norm = "L2"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial images, float32 (N, 3, H, W) in [0, 1]."""
        # Our networks take pixels in [0, 1] and normalise inside: to Foolbox there is nothing to preprocess.
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=images.device)
        attack = foolbox.attacks.DDNAttack(steps=self.params.steps, gamma=self.params.gamma)
        found, _, _ = attack(model, images, labels, epsilons=None)
        change = found - images
        length = change.flatten(1).norm(dim=1).clamp_min(1e-12)
        factor = float(self.params.eps) / length
        return (images + change * factor[:, None, None, None]).clamp(0, 1)


@hookimpl
def robench_components() -> list[Component]:
    """Contribute the attack."""
    return [
        Component(
            kind="attacker",
            name="ddn",
            target=f"{__name__}:DDN",
            summary="decoupled direction and norm, L2, from Foolbox",
            reference="Rony et al., Decoupling direction and norm, CVPR 2019 (arXiv:1811.09600)",
        )
    ]
