"""Square Attack, from the authors' own code."""

from __future__ import annotations

from typing import Any

import torch
from pyautoattack.square import SquareAttack
from robench import Field, ask
from torch import Tensor, nn

from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.params import L1Params
from robench_plugins.attackers.targets import Targeted, TargetParams


class SquareParams(L1Params, TargetParams):
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


class Square(Targeted):
    """Random search over squares of pixels. It sees the logits, and neither gradients nor weights.

    An image that withstands is returned where the margin of its logits was smallest. With a ``target`` the margin is
    that of the target class; robench counts every misclassification as a success.

    Source: Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search",
    ECCV 2020 (arXiv:1912.00049), algorithms 2 and 3; in L1 as in Croce and Hein, "Mind the box", ICML 2021
    (arXiv:2103.01208), appendix. Deviation: the authors' code asks once more than ``queries``.
    """

    Params = SquareParams
    params: SquareParams
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins found.

        Raises:
            SpecError: The network has a single class.
        """
        n = require_classes(2, network, images, "square", "noise")
        threat = self.threat(surrogate=False)
        attack = _SaysWhose(
            network,
            norm=threat.norm,
            n_queries=self.params.queries - 1,  # besides the first
            eps=float(threat.eps),
            p_init=self.params.first_size,
            resc_schedule=self.params.rescale,
            device=images.device,
            targeted=bool(self.params.target),
        )
        attack.init_hyperparam(images)
        # Not perturb(), which seeds torch for the whole process and drops the images that withstand.
        with torch.no_grad():
            if not self.params.target:
                found: Tensor = attack.attack_single_run(images, labels)[1]
                return found
            targets = self.targets(labels, n)
            found, some = images.clone(), (targets != labels).nonzero().flatten()
            if len(some):
                attack.left = some
                found[some] = attack.attack_single_run(images[some], targets[some])[1]
        return found


class _SaysWhose(SquareAttack):  # type: ignore[misc]
    """Says with each query which image it is about: those that are not broken yet."""

    left: Tensor | None = None
    predict: Any

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        left = torch.arange(len(x), device=x.device) if self.left is None else self.left
        network, self.predict = self.predict, lambda images: ask(network, images, left)
        try:
            margin, loss = super().margin_and_loss(x, y)
        finally:
            self.predict = network
        self.left = left[margin > 0]
        return margin, loss
