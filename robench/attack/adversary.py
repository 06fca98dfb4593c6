"""Adversarial sets of a run: cached where they do not depend on the target, made on the fly where they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.perturbation import ATTACK_BATCH, perturb_set, perturb_there
from robench.compute.precision import Precision
from robench.contracts.context import RunContext
from robench.errors import PluginError, SpecError
from robench.images.image_set import ImageSet, to_device, to_levels, to_pixels
from robench.images.memory_mapped import let_go
from robench.networks.compiled import Compiled
from robench.networks.evaluate import fingerprint, predict
from robench.records.record import SurrogateRecord
from robench.registry.resolved import ResolvedAttack
from robench.storage.adversarial_cache import AdversarialCache, AdversarialSet, hash_images

if TYPE_CHECKING:
    from robench.contracts.tuning import Adversary, Score


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackedSet:
    """The adversarial images of one attack and what is known of them."""

    images: NDArray[np.uint8]
    sha256: str
    cached: bool
    surrogate: SurrogateRecord | None


class Raised(nn.Module):
    """A score ``s >= 0`` as a network of two classes whose cross-entropy of class 0 grows with it.

    Attacks raise cross-entropies; this lets them raise anything. Steps along the gradient's direction, as those of
    PGD, are the same as on the score itself. No score is a misclassification, at which many attacks stop: the logit of
    class 1, ``-1 / (1 + s)``, stays below that of class 0.
    """

    def __init__(self, network: nn.Module, score: Score) -> None:
        super().__init__()
        self.network = network  # so that its modes and weights are held still during the attack
        self.score = score

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[0, -1 / (1 + s)]`` for each image, ``(N, 2)``."""
        raised = self.score(images)
        return torch.stack([torch.zeros_like(raised), -1 / (1 + raised)], dim=1)


class _Live:
    """Attacks batches of training images as they come; ``calls`` gives each call a random stream of its own.

    Nothing waits for the device, but for a first batch that is to raise a score. A batch in which the attacker returned
    NaN or infinity becomes NaN all over, so that the loss, which training judges at the end of an epoch, is NaN too;
    ``finite`` then says whose fault it was.
    """

    def __init__(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet, context: RunContext) -> None:
        self.attacker, self.threat, self.target, self.data = attack.build(), attack.threat(), target, data
        self.label = attack.label
        self.device, self.seed = context.device, context.stream("attack/train")
        self.precision = context.precision.attacks
        self.attacked = Compiled(target, context.warn, "training adversary") if context.compiled else target
        self.calls = 0
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)

    def __call__(
        self, indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None
    ) -> Tensor:
        """Return adversarial versions of the training images at `indices`.

        Raises:
            SpecError: The attack looks for a misclassification, which no score is, and perturbs nothing without.
        """
        self.calls += 1
        levels = to_levels(images).to(self.device, non_blocking=True)
        raised = self.data.labels[indices] if score is None else np.zeros(len(indices), dtype=np.int64)
        perturbed, finite = perturb_there(
            self.attacker,
            self.attacked if score is None else Raised(self.target, score),
            levels,
            to_device(raised, self.device),
            threat=self.threat,
            seed=self.seed + self.calls,
            precision=self.precision,
        )
        if score is not None and self.calls == 1 and torch.equal(perturbed, levels):
            raise SpecError(
                f"adversary {self.label!r} left every image of a batch as it was, because it looks for "
                "misclassifications and this objective raises a loss of its own; expected 'pgd', 'apgd-ce' or the like"
            )
        self.finite = self.finite & finite
        return perturbed.float().div_(255).masked_fill_(~finite, torch.nan)


class Adversaries:
    """Makes and remembers the surrogates and adversarial sets of one run."""

    def __init__(self, context: RunContext, cache: AdversarialCache) -> None:
        self.context = context
        self.cache = cache
        self._surrogates: dict[str, tuple[nn.Module, str]] = {}

    @classmethod
    def of(cls, context: RunContext) -> Adversaries:
        """Return those of a run, in its cache."""
        return cls(context, AdversarialCache(context.cache_dir, context.warn, context.shared, context.world))

    def attacked(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet, purpose: str) -> AttackedSet:
        """Return adversarial versions of `data`: made on the surrogate if the attack has one, else on `target`.

        Args:
            purpose: ``train``, ``validation`` or ``test``; each has a random stream of its own.
        """
        seed = self.context.stream(f"attack/{purpose}")
        stage = f"attack {attack.label}, {purpose} images"
        if attack.surrogate is None:
            images, _ = self._make(attack, target, data, seed, stage)
            return AttackedSet(images=images, sha256=hash_images(images), cached=False, surrogate=None)
        network, weights = self._surrogate(attack)
        identity = {
            "format": 2,
            "attack": attack.component.name,
            "params": attack.params.as_dict(),
            "plugin": f"{attack.plugin.distribution} {attack.plugin.version}",
            "surrogate": weights,
            # A model may have settings that are neither weights nor buffers, such as the size it sees images at.
            "surrogate_params": attack.surrogate.values(),
            "data": data.fingerprint(),
            "seed": seed,
        }
        precision = self.context.precision.attacks
        if precision != "float32":
            identity["precision"] = precision
        # What is known of a set is part of it, and must not depend on what the run's own network is evaluated in.
        judge = replace(self.context, precision=Precision(evaluation=precision))

        def make() -> tuple[NDArray[np.uint8], dict[str, Any]]:
            images, size = self._make(attack, network, data, seed, stage)
            clean, adversarial = (
                int((predictions(network, pixels, judge, stage) == data.labels).sum())
                for pixels in (data.images, images)
            )
            return images, {"clean_correct": clean, "adversarial_correct": adversarial, "batch": size}

        found: AdversarialSet = self.cache.get(identity, make)
        if found.images.shape != data.images.shape:
            raise PluginError(f"the cached set for {attack.label} has shape {found.images.shape}")
        batch = found.notes.pop("batch", ATTACK_BATCH)
        if found.cached and batch < ATTACK_BATCH:
            self.context.warn(f"{stage}: cached images were made {batch} at a time, for want of memory")
        surrogate = SurrogateRecord(name=attack.surrogate.label, fingerprint=weights, **found.notes)
        self._warn_if_broken(surrogate, len(data))
        return AttackedSet(images=found.images, sha256=found.sha256, cached=found.cached, surrogate=surrogate)

    def for_training(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet) -> Adversary:
        """Return what a tuner calls for adversarial training images: cached for a surrogate, live for white-box."""
        context = self.context
        if attack.surrogate is not None:
            made = self.attacked(attack, target, data, "train").images

            def cached(
                indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None
            ) -> Tensor:
                pixels = to_pixels(made[indices], context.device)
                let_go(made)
                return pixels

            return cached
        return _Live(attack, target, data, context)

    def _make(
        self, attack: ResolvedAttack, network: nn.Module, data: ImageSet, seed: int, stage: str
    ) -> tuple[NDArray[np.uint8], int]:
        return perturb_set(
            attack.build(),
            network,
            data,
            threat=attack.threat(),
            device=self.context.device,
            seed=seed,
            precision=self.context.precision.attacks,
            report=self.context.report,
            warn=self.context.warn,
            stage=stage,
            world=self.context.world,
            compiled=self.context.compiled,
        )

    def _surrogate(self, attack: ResolvedAttack) -> tuple[nn.Module, str]:
        assert attack.surrogate is not None
        label = attack.surrogate.label
        if label not in self._surrogates:
            # Its weights must not depend on the run's seed, or no two seeds could share an adversarial set.
            network = attack.surrogate.build().build(replace(self.context, seed=0)).to(self.context.device)
            self._surrogates[label] = (network, fingerprint(network))
            self.context.world.same(self._surrogates[label][1], f"the weights of surrogate {label}")
        return self._surrogates[label]

    def _warn_if_broken(self, surrogate: SurrogateRecord, n: int) -> None:
        halfway = (1 + 1 / len(self.context.dataset.class_names)) / 2
        if surrogate.clean_correct < halfway * n:
            self.context.warn(
                f"surrogate {surrogate.name} classifies only {100 * surrogate.clean_correct / n:.1f} % of the clean "
                "images correctly: wrong weights, normalisation or class order? Its attack says little"
            )


def predictions(network: nn.Module, images: NDArray[np.uint8], context: RunContext, stage: str) -> NDArray[np.int64]:
    """Return the predicted class of each image, ``int64 (N,)``."""
    n_classes = len(context.dataset.class_names)
    return predict(
        network,
        images,
        n_classes=n_classes,
        device=context.device,
        precision=context.precision.evaluation,
        report=context.report,
        warn=context.warn,
        stage=stage,
        world=context.world,
    )
