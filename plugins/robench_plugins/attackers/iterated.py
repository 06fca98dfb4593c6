"""Attacks of torchattacks that take steps, under robench's own parameters."""

from __future__ import annotations

from typing import ClassVar

from robench import Attacker
from torch import Tensor, nn

from robench_plugins.attackers.params import IterativeParams
from robench_plugins.attackers.torchattacks.call import run


class IteratedAttack(Attacker):
    """Runs the class `upstream` of torchattacks with the settings of its parameters."""

    Params = IterativeParams
    params: IterativeParams
    upstream: ClassVar[str]

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images of the last step; the clean image where that has a pixel that is NaN."""
        return run(self.upstream, network, images, labels, **self.params.settings())
