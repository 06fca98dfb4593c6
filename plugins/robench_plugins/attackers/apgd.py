"""Auto-PGD on the cross-entropy and on the difference of logits ratio, from the authors' own code.

In L1 it is the variant of Croce and Hein, "Mind the box: l1-APGD for sparse adversarial attacks on image classifiers",
ICML 2021 (arXiv:2103.01208): steps change the values of the largest gradients, points are projected on the ball within
``[0, 1]``, and the radius falls from three times epsilon over twice to once, after 30, 30 and 40 % of the steps.
"""

from __future__ import annotations

import logging
import math
from typing import ClassVar, Literal

import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.params import L1Params

N_TARGETS = 9
"""Target classes of the targeted attacks in AutoAttack's standard version."""
N_TARGETS_L1 = 5
"""Those of APGD-T in its L1 version."""

_LOGGER = logging.getLogger("robench.autoattack")
# Its messages, for example that gradients are zero, never reach the terminal unless a handler is added.
_LOGGER.addHandler(logging.NullHandler())


class APGDParams(L1Params):
    """Parameters of APGD, which chooses its own step size."""

    steps: int = Field(default=100, ge=1, description="gradient steps, for each target class")


class APGD(Attacker):
    """The two untargeted forms of Auto-PGD, which differ in their loss."""

    Params = APGDParams
    params: APGDParams
    loss: ClassVar[Literal["ce", "dlr"]]

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the points of highest loss.

        Raises:
            SpecError: The loss needs more classes than the network has.
        """
        if self.loss == "dlr":
            require_classes(3, network, images, "apgd-dlr", "apgd-ce")
        threat = self.threat(surrogate=False)
        attack = APGDAttack(
            network,
            n_iter=self.params.steps,
            norm=threat.norm,
            eps=float(threat.eps),
            loss=self.loss,
            device=images.device,
            logger=_LOGGER,
        )
        return _ascend(attack, images, labels)[0]


class APGDCE(APGD):
    """PGD on the cross-entropy. When the loss stalls, it halves the step size and goes back to the best point.

    The result is the point of highest loss, or, if that one is classified correctly, a point that fooled the network.

    Source: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", ICML 2020 (arXiv:2003.01690), algorithm 1, without restarts. Deviation: an image that withstands is
    returned at the point of highest loss, not clean, which matters on other networks.
    """

    loss = "ce"


class APGDDLR(APGD):
    """As APGD-CE, on the difference of logits ratio, which does not depend on the scale of the logits. Needs 3 classes.

    Source: Croce and Hein, ICML 2020 (arXiv:2003.01690), equation 6 and algorithm 1, without restarts.
    """

    loss = "dlr"


class APGDT(Attacker):
    """APGD on the targeted difference of logits ratio, for each of the up to 9 likeliest wrong classes, in L1 up to 5.

    Source: Croce and Hein, ICML 2020 (arXiv:2003.01690), equation 7. Deviation: an image that withstands every target
    is returned at the point of highest loss, not clean.
    """

    Params = APGDParams
    params: APGDParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return for each image the first success, or without one the point of highest loss.

        Raises:
            SpecError: The network has fewer than 4 classes.
        """
        n = require_classes(4, network, images, "apgd-t", "apgd-dlr (3 classes or more) or apgd-ce")
        threat = self.threat(surrogate=False)
        attack = APGDAttack_targeted(
            network,
            n_iter=self.params.steps,
            norm=threat.norm,
            eps=float(threat.eps),
            device=images.device,
            logger=_LOGGER,
        )
        targets = likeliest_wrong(network, images, labels)
        found, highest = images.clone(), torch.full_like(labels, float("-inf"), dtype=images.dtype)
        robust = torch.ones_like(labels, dtype=torch.bool)
        for rank in range(min(N_TARGETS_L1 if threat.norm == "L1" else N_TARGETS, n - 1)):
            left = robust.nonzero().flatten()
            if not len(left):
                break
            attack.y_target = targets[left, rank]
            points, losses, fooled = _ascend(attack, images[left], labels[left])
            better = fooled | (losses > highest[left])
            found[left[better]], highest[left[better]] = points[better], losses[better]
            robust[left[fooled]] = False
        return found


def likeliest_wrong(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the wrong classes of each image, ``(N, n_classes - 1)``, by falling logit."""
    with torch.no_grad():
        logits = network(images).scatter(1, labels[:, None], float("-inf"))
    order: Tensor = logits.argsort(dim=1, descending=True)
    return order[:, :-1]


def _ascend(attack: APGDAttack, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run once from a random start; return the images, their highest losses, and whether they fool the network.

    It does not call ``perturb``, which seeds torch for the whole process and drops the images that withstand.
    """
    attack.init_hyperparam(images)
    with torch.no_grad():
        best, correct, losses, fooling = _steps(attack, images, labels)
        lost = (attack.model(best).argmax(1) == labels) & ~correct.bool()
        points = torch.where(lost.view(-1, 1, 1, 1), fooling, best)
    return points, losses, ~correct.bool()


def _steps(attack: APGDAttack, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the authors' code does of one start; in L1 the radius falls to epsilon, if there are steps for it."""
    radius, steps = attack.eps_orig, attack.n_iter_orig
    first = min(math.ceil(0.3 * steps), (steps - 1) // 2)
    if attack.norm != "L1" or not first:
        found: tuple[Tensor, Tensor, Tensor, Tensor] = attack.attack_single_run(images, labels)
        return found
    found = attack.decr_eps_pgd(images, labels, [3 * radius, 2 * radius, radius], [first, first, steps - 2 * first])
    return found
