"""LORE: robust embeddings under a constraint on the clean ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from robench import Field, Params
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.guided import Guided


class LOREParams(Params):
    """Parameters of LORE."""

    rho: float = Field(
        default=0.1, gt=0, description="largest squared drift of a clean embedding, as a share of its squared length"
    )
    dual_lr: float = Field(default=1e-3, gt=0, description="learning rate of the multipliers' network, with Adam")
    hidden: int = Field(default=64, ge=1, description="hidden units of the multipliers' network")
    every: int = Field(default=1, ge=1, description="steps of the training between two of the multipliers' network")


class LORE(Guided):
    """FARE's loss under the constraint that clean embeddings stay: ``|z(x) - z0(x)|^2 <= rho |z0(x)|^2``.

    The loss is the Lagrangian ``|z(x') - z0(x)|^2 + l(x) (|z(x) - z0(x)|^2 - rho |z0(x)|^2)``, averaged over the batch;
    it needs no labels. The multiplier l(x) of each image is the softplus of a small network of z0(x), which ascends
    the same Lagrangian with an optimiser of its own.

    Source: Khodabandeh et al., "LORE: Lagrangian-optimized robust embeddings for visual encoders", 2025
    (arXiv:2505.18884), section 4. Deviations: the multipliers' network has one hidden layer, and its learning rate,
    its size and `every` are ours; the paper's were not at hand.
    """

    whole_batch = True  # processes would have multipliers of their own
    Params = LOREParams
    params: LOREParams

    def prepare(self, network: nn.Module) -> None:
        """Keep the original network, and draw the multipliers' network from torch's global random state."""
        super().prepare(network)
        context = self.setting.context
        images = torch.from_numpy(context.dataset.split("train", 1).images).to(context.device) / 255
        width = self.embed_originally(images).shape[1]
        layers = [nn.Linear(width, self.params.hidden), nn.ReLU(), nn.Linear(self.params.hidden, 1)]
        self._multipliers = nn.Sequential(*layers).to(context.device)
        self._ascent = torch.optim.Adam(self._multipliers.parameters(), lr=self.params.dual_lr, maximize=True)

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Return both terms of the Lagrangian, and accumulate the multipliers' gradients."""
        anchors = self.embed_originally(clean)
        robust = (self.embed(adversarial) - anchors).square().sum(dim=1)
        drift = (self.embed(clean) - anchors).square().sum(dim=1)
        excess = drift - self.params.rho * anchors.square().sum(dim=1)
        with torch.enable_grad():
            multipliers = self.multipliers(anchors)
            (multipliers * excess.detach()).mean().backward()
        return {"robust": robust.mean(), "constraint": (multipliers.detach() * excess).mean()}

    def multipliers(self, anchors: Tensor) -> Tensor:
        """Return the multiplier of each original embedding ``(N, D)``, at least 0, ``(N,)``."""
        return F.softplus(self._multipliers(F.normalize(anchors, dim=-1)).squeeze(-1))

    def score(self, network: nn.Module, clean: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return FARE's squared distance, which the paper's adversary maximises."""
        return self.drift(clean)

    def after_step(self, network: nn.Module, step: int) -> None:
        """Let the multipliers ascend every so many steps."""
        if (step + 1) % self.params.every == 0:
            self._ascent.step()
            self._ascent.zero_grad()

    def state(self) -> dict[str, Any]:
        """Return the multipliers' network and its optimiser."""
        return {"multipliers": self._multipliers.state_dict(), "ascent": self._ascent.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take them over."""
        self._multipliers.load_state_dict(state["multipliers"])
        self._ascent.load_state_dict(state["ascent"])
