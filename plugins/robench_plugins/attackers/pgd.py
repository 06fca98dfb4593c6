"""Projected gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from robench import Attacker, Field, Later, NormParams, RunContext, SpecError, StepSize
from torch import Tensor, nn

from robench_plugins.attackers import losses
from robench_plugins.attackers.apgd import N_TARGETS, likeliest_wrong
from robench_plugins.attackers.eight_bit import nearest_in_ball
from robench_plugins.attackers.iterates import pgd
from robench_plugins.attackers.targets import class_number
from robench_plugins.attackers.torchattacks.call import run

TARGETS = ("least-likely", "random", "next", "multi")
"""Targets with a name; others are classes."""


class PGDParams(NormParams):
    """Parameters of PGD; the defaults are the study's: 7 steps of 2/255 within Linf 8/255."""

    alpha: StepSize | None = Field(
        default=None, description="step size, in [0, 1] pixel units, or a share such as eps/8; eps/4 if not given"
    )
    steps: int = Field(default=7, ge=1, description="gradient steps")
    random_start: bool = Field(default=True, description="start at a random point of the ball")
    start: Literal["uniform", "gaussian"] = Later(
        "uniform",
        description="how the random start is drawn: uniform in the ball; or gaussian, 0.001 times a standard normal, "
        "as the adversary of TRADES",
    )
    early_exit: bool = Later(
        False,
        description="stop each image once it fools the network it is made on: faster, but not PGD as defined, which "
        "returns the last step, and weaker on other networks",
    )
    loss: losses.Loss = Later(
        "ce",
        description="loss to raise: cross-entropy, margin of logits as Carlini and Wagner, difference of logits ratio, "
        "or divergence from the clean prediction",
    )
    kappa: float = Later(
        50.0, ge=0, description="margin by which loss=margin wants the label to lose; 50 in TeCoA's code"
    )
    target: str = Later(
        "",
        description="class to reach: least-likely, random, next, multi (the 9 likeliest wrong classes in turn), the "
        "name of a class or its number from 0; none if not given",
    )
    restarts: int = Later(1, ge=1, description="random starts; each image keeps the one that fools best as 8-bit image")

    @model_validator(mode="after")
    def _fill_alpha(self) -> Self:
        if self.start != "uniform" and not self.random_start:
            raise ValueError(f"start={self.start} does nothing with random_start=false; leave one of them out")
        if self.loss == "kl" and (self.target or not self.random_start):
            why = "has no target" if self.target else "has no gradient at the clean image: it needs a random start"
            raise ValueError(f"loss=kl {why}; expected loss=ce, margin or dlr")
        if self.loss != "margin" and "kappa" in self.model_fields_set and self.kappa != 50:
            raise ValueError(f"kappa={self.kappa:g} does nothing with loss={self.loss}; expected loss=margin")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts={self.restarts} are all alike with random_start=false; leave one of them out")
        if self.target and self.early_exit:
            raise ValueError("early_exit stops at any wrong class, and target wants one; leave one of them out")
        self.settle_step(Fraction(1, 4), most=Fraction(1) if self.norm == "Linf" else None)
        return self


class PGD(Attacker):
    """Iterated steps along the gradient, projected on the epsilon ball after each.

    In Linf the step is along the sign of the gradient, and the start is uniform in the cube. In L2 the step is along
    the gradient at unit length, and the start has a uniform direction and a uniform length up to epsilon.

    With ``early_exit`` an image takes no more steps once its 8-bit version fools the network it is made on. On that
    network the attack is at least as strong as plain PGD, where some images fool on the way and not at the end. On
    other networks it is weaker, because images stop at the boundary of the first.

    With ``loss=margin`` in Linf it is what papers on robust CLIPs call CW (TeCoA, PMG-AFT, TGA-ZSR, TTC): ``cw-linf``.
    With a ``target`` the steps lead to that class, and an image whose label it is stays clean. robench counts every
    misclassification as a success, also of another class.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1,
    which returns the last iterate. Early exit: Zhang et al., "Attacks which do not kill training make adversarial
    learning stronger", ICML 2020 (arXiv:2002.11242), algorithm 1 with tau = 0; it is also ``return_early`` of foolbox
    2, and AutoAttack does the same between its attacks. Losses: their sources are in ``losses.py``. Multi-targeted:
    Gowal et al., "An alternative surrogate loss for PGD-based adversarial testing", 2019 (arXiv:1910.09338). Deviation:
    between restarts and targets only images that still withstand go on, as in AutoAttack.
    """

    Params = PGDParams
    params: PGDParams
    _class: int | None = None

    def prepare(self, context: RunContext) -> Mapping[str, Any]:
        """Look up the class that ``target`` names.

        Raises:
            SpecError: There is none.
        """
        target = self.params.target
        if not target or target in TARGETS:
            return {}
        self._class = class_number(target, context, TARGETS)
        return {"target": self._class}

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return ``x_T`` of ``x_(t+1) = project(x_t + alpha * direction(grad_x loss))``, or an earlier one that fools.

        Raises:
            SpecError: The loss needs more classes than the network has, or the target is a name that nobody looked up.
        """
        params = self.params
        assert params.eps is not None and params.alpha is not None
        if params.loss != "ce" or params.target or params.restarts > 1:
            return self._best_of_all(network, images, labels)
        if params.early_exit or params.start == "gaussian":
            return self._own(network, images, labels)
        settings = {
            "eps": float(params.eps),
            "alpha": float(params.alpha),
            "steps": params.steps,
            "random_start": params.random_start,
        }
        if params.norm == "Linf":
            return run("PGD", network, images, labels, **settings)
        # Its default 1e-10 is larger than the gradient of an image that the network is sure of, and shrinks the step.
        return run("PGDL2", network, images, labels, **settings, eps_for_division=1e-20)

    def _own(self, network: nn.Module, images: Tensor, labels: Tensor, **more: Any) -> Tensor:
        params = self.params
        return pgd(
            network,
            images,
            labels,
            threat=self.threat(surrogate=False),
            alpha=float(params.alpha or 0),
            steps=params.steps,
            start=params.start if params.random_start else "clean",
            early_exit=params.early_exit,
            **more,
        )

    def _best_of_all(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return for each image the point of all restarts and targets that fools best as an 8-bit image."""
        params, threat = self.params, self.threat(surrogate=False)
        with torch.no_grad():
            clean = network(images)
        losses.require(params.loss, clean.shape[1], to_target=bool(params.target))
        found, lowest = images.clone(), torch.full(labels.shape, float("inf"), device=images.device)
        for targets in self._targets(network, images, labels, clean):
            left = (lowest >= 0).nonzero().flatten()
            if targets is not None:
                left = left[(targets != labels)[left]]
            if not len(left):
                continue

            def raised(logits: Tensor, some: Tensor, left: Tensor = left, targets: Tensor | None = targets) -> Tensor:
                some = left[some]
                if targets is None:
                    return losses.untargeted(params.loss, logits, labels[some], clean[some], params.kappa)
                return losses.targeted(params.loss, logits, labels[some], targets[some], params.kappa)

            points = self._own(network, images[left], labels[left], raised=raised)
            with torch.no_grad():
                logits = network(nearest_in_ball(images[left], points, threat))
            if targets is None or params.target == "multi":
                ahead = losses.margins(logits, labels[left])
            else:
                ahead = -losses.margins(logits, targets[left])
            better = ahead < lowest[left]
            found[left[better]], lowest[left[better]] = points[better], ahead[better].to(lowest.dtype)
        return found

    def _targets(self, network: nn.Module, images: Tensor, labels: Tensor, clean: Tensor) -> Sequence[Tensor | None]:
        """Return the targets of each round, ``int64 (N,)``, or None where there is no target."""
        target, n = self.params.target, clean.shape[1]
        if not target:
            return [None] * self.params.restarts
        if target == "multi":
            ranked = likeliest_wrong(network, images, labels)
            return [ranked[:, rank] for rank in range(min(N_TARGETS, n - 1))] * self.params.restarts
        wanted: str | int = target if self._class is None else self._class
        if target not in TARGETS and self._class is None:
            if not (target.isdecimal() and int(target) < n):
                raise SpecError(f"target={target} needs a run, which knows the classes; expected a number below {n}")
            wanted = int(target)
        return [losses.chosen(wanted, clean, labels) for _ in range(self.params.restarts)]
