"""Square Attack, from the authors' own code."""

from __future__ import annotations

import torch
from pyautoattack.square import SquareAttack
from robench import Attacker, Field, NormParams
from torch import Tensor, nn

from robench_plugins.attackers.n_classes import require_classes


class SquareParams(NormParams):
    """Parameters of Square Attack; the defaults are those of AutoAttack."""

    queries: int = Field(default=5000, ge=1, description="most queries for each image")
    first_size: float = Field(
        default=0.8, gt=0, le=1, description="share of the pixels that the first square covers, p in the paper"
    )
    rescale: bool = Field(
        default=False,
        description="shrink the squares over the given queries, as the authors' code does, instead of over 10,000, as "
        "AutoAttack does",
    )


class Square(Attacker):
    """Random search over squares of pixels. It sees the logits, and neither gradients nor weights.

    An image that withstands is returned where the margin of its logits was smallest.

    Source: Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search",
    ECCV 2020 (arXiv:1912.00049), algorithms 2 and 3.
    """

    Params = SquareParams
    params: SquareParams
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins found.

        Raises:
            SpecError: The network has a single class.
        """
        require_classes(2, network, images, "square", "noise")
        threat = self.threat(surrogate=False)
        attack = SquareAttack(
            network,
            norm=threat.norm,
            n_queries=self.params.queries,
            eps=float(threat.eps),
            p_init=self.params.first_size,
            resc_schedule=self.params.rescale,
            device=images.device,
        )
        attack.init_hyperparam(images)
        # Not perturb(), which seeds torch for the whole process and drops the images that withstand.
        with torch.no_grad():
            found: Tensor = attack.attack_single_run(images, labels)[1]
        return found
