"""The fast adaptive boundary attack, from the authors' own code."""

from __future__ import annotations

import torch
from pyautoattack.fab_pt import FABAttack_PT
from robench import Attacker, Field
from torch import Tensor, nn

from robench_plugins.attackers.apgd import N_TARGETS
from robench_plugins.attackers.eight_bit import lengths, shortest_fooling
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.params import L1Params


class FABParams(L1Params):
    """Parameters of FAB."""

    steps: int = Field(default=100, ge=1, description="steps, for each target class")
    targeted: bool = Field(
        default=False,
        description="towards each of the 9 likeliest wrong classes in turn, instead of the nearest boundary",
    )


class FAB(Attacker):
    """Steps to the linearised boundary, and back towards the clean image: a short perturbation.

    As in DeepFool, it is lengthened until its 8-bit image fools the network. An image with no boundary within the
    radius is returned clean. The targeted form takes one gradient a step instead of one for each class.

    Source: Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020
    (arXiv:1907.02044), algorithm 1, without restarts; FAB-T as in AutoAttack (arXiv:2003.01690).
    """

    Params = FABParams
    params: FABParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the shortest 8-bit images found that fool `network`.

        Raises:
            SpecError: The network has a single class.
        """
        n = require_classes(2, network, images, "fab", "noise")
        threat = self.threat(surrogate=False)
        attack = FABAttack_PT(
            network, norm=threat.norm, n_iter=self.params.steps, eps=float(threat.eps), device=images.device
        )
        found, robust = images.clone(), torch.ones_like(labels, dtype=torch.bool)
        for rank in range(min(N_TARGETS, n - 1) if self.params.targeted else 1):
            left = robust.nonzero().flatten()
            if not len(left):
                break
            # Its ranks count the largest logit, that of the label, as 1.
            attack.target_class = rank + 2
            # Not perturb(), which seeds torch for the whole process.
            with torch.no_grad():
                points = attack.attack_single_run(images[left], labels[left], is_targeted=self.params.targeted)
            own = lengths(points - images[left], threat.norm)
            within = (own > 0) & (own <= float(threat.eps) + 1e-6 * max(1, float(threat.eps)))
            found[left[within]] = points[within]
            robust[left[within]] = False
        return shortest_fooling(network, images, labels, found, threat)
