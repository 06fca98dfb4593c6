"""The adversarial sets of a run: from the cache if made on a surrogate, made anew if made on the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.live import LiveAdversary
from robench.attack.perturbation import ATTACK_BATCH, perturb_set, seeded, told_outside
from robench.attack.queries import Asked
from robench.attack.seen import prepared, seen_by
from robench.compute.precision import Precision
from robench.contracts.context import RunContext
from robench.errors import PluginError
from robench.images.image_set import ImageSet, to_pixels
from robench.images.memory_mapped import let_go
from robench.networks.entrance import ENTERING, enter
from robench.networks.evaluate import Answers, answer, fingerprint
from robench.records.record import SurrogateRecord
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.registry.source_files import foreign_code
from robench.storage.adversarial_cache import AdversarialCache, AdversarialSet, hash_images
from robench.storage.content import content_hash

if TYPE_CHECKING:
    from robench.contracts.tuning import Adversary, Score


NAMED = 10
"""Images outside a ball whose positions a warning names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackedSet:
    """The adversarial images of one attack.

    Attributes:
        images: ``uint8 (N, 3, H, W)``.
        sha256: Their hash, as in the record.
        cached: Whether they came from the cache.
        surrogate: The network they were made on; None for the target itself.
        asked: What was asked about each image, of an attack that may only ask.
    """

    images: NDArray[np.uint8]
    sha256: str
    cached: bool
    surrogate: SurrogateRecord | None
    asked: Asked | None = None


class Adversaries:
    """Makes the adversarial sets of one run, and keeps its surrogates."""

    def __init__(self, context: RunContext, cache: AdversarialCache) -> None:
        self.context = context
        self.cache = cache
        self._surrogates: dict[str, tuple[nn.Module, str]] = {}

    @classmethod
    def of(cls, context: RunContext) -> Adversaries:
        """Return the adversaries of the run of `context`, with its cache."""
        return cls(context, AdversarialCache(context.cache_dir, context.warn, context.shared, context.world))

    def attacked(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet, purpose: str) -> AttackedSet:
        """Return adversarial versions of `data`, made on the attack's surrogate if it has one, else on `target`.

        Args:
            purpose: ``train``, ``validation`` or ``test``; each has its own random stream.

        Raises:
            PluginError: The attacker returned a wrong shape, NaN or infinity.
        """
        seed = self.context.stream(f"attack/{purpose}")
        stage = f"attack {attack.label}, {purpose} images"
        if attack.surrogate is None:
            counts: list[Asked] = []
            images, _, beyond = self._make(attack, target, data, seed, stage, counts.append)
            self._warn_of_outside(attack, beyond, len(data))
            asked = counts[0] if counts else None
            return AttackedSet(images=images, sha256=hash_images(images), cached=False, surrogate=None, asked=asked)
        network, weights = self._surrogate(attack, data)
        identity = {
            "format": 2,
            "attack": attack.component.name,
            "params": attack.params.as_dict(),
            "plugin": f"{attack.plugin.distribution} {attack.plugin.version}",
            "surrogate": weights,
            # Settings that are neither weights nor buffers, such as the size at which a model sees images.
            "surrogate_params": attack.surrogate.values(),
            "data": data.fingerprint(),
            "seed": seed,
        }
        identity |= self._contents(attack, attack.surrogate)
        identity |= {"samples": attack.answers} if attack.answers > 1 else {}
        identity |= {"taken": taken} if (taken := prepared(attack, self.context)[1]) else {}
        precision = self.context.precision.attacks
        if precision != "float32":
            identity["precision"] = precision
        # The set keeps the surrogate's scores, so these must not depend on the precision of the run's own evaluation.
        scoring = replace(self.context, precision=Precision(evaluation=precision))

        def make() -> tuple[NDArray[np.uint8], dict[str, Any]]:
            images, size, beyond = self._make(attack, network, data, seed, stage)
            clean, adversarial = (
                int((predictions(network, pixels, scoring, stage) == data.labels).sum())
                for pixels in (data.images, images)
            )
            notes = {"clean_correct": clean, "adversarial_correct": adversarial, "batch": size}
            return images, notes | ({"outside": beyond} if beyond else {})

        found: AdversarialSet = self.cache.get(identity, make)
        if found.images.shape != data.images.shape:
            raise PluginError(
                f"the cached set of {attack.label} has shape {found.images.shape}; expected {data.images.shape}"
            )
        self._warn_of_outside(attack, found.notes.pop("outside", []), len(data))
        batch = found.notes.pop("batch", ATTACK_BATCH)
        if found.cached and batch < ATTACK_BATCH:
            self.context.warn(f"{stage}: cached images were made {batch} at a time, because memory ran out")
        surrogate = SurrogateRecord(name=attack.surrogate.label, fingerprint=weights, **found.notes)
        self._warn_if_broken(surrogate, len(data))
        return AttackedSet(images=found.images, sha256=found.sha256, cached=found.cached, surrogate=surrogate)

    def for_training(self, attack: ResolvedAttack, target: nn.Module, data: ImageSet) -> Adversary:
        """Return what makes a tuner's adversarial images: made beforehand on a surrogate, or live on `target`."""
        if attack.surrogate is None:
            return LiveAdversary(attack, target, data, self.context)
        made, device = self.attacked(attack, target, data, "train").images, self.context.device

        def look_up(indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None) -> Tensor:
            pixels = to_pixels(made[indices], device)
            let_go(made)
            return pixels

        return look_up

    def _contents(self, *parts: Resolved) -> dict[str, Any]:
        """Return hashes of the files that components read, and of plugins that are not robench's own."""
        modules = [component.target.partition(":")[0] for part in parts for _, component in part.origins.values()]
        files = {
            f"{part.name} {name}": content_hash(path, self.context.cache_dir)
            for part in parts
            for name, path in part.files().items()
        }
        found = {"code": foreign_code(modules), "files": files}
        return {name: hashes for name, hashes in found.items() if hashes}

    def _make(
        self,
        attack: ResolvedAttack,
        network: nn.Module,
        data: ImageSet,
        seed: int,
        stage: str,
        counted: Callable[[Asked], None] = lambda asked: None,
    ) -> tuple[NDArray[np.uint8], int, list[int]]:
        """Return the images, how many were attacked at a time, and the positions of those that were outside."""
        beyond: list[int] = []
        attacker, _ = prepared(attack, self.context)
        images, size = perturb_set(
            attacker,
            seen_by(attack, network),
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
            found_outside=lambda positions: beyond.extend(positions.tolist()),
            counted=counted,
        )
        for remark in attacker.remarks():
            self.context.warn(f"{attack.label}: {remark}")
        return images, size, beyond

    def _surrogate(self, attack: ResolvedAttack, data: ImageSet) -> tuple[nn.Module, str]:
        assert attack.surrogate is not None
        label = attack.surrogate.label
        if label not in self._surrogates:
            # Seed 0 whatever the run's seed, so that all seeds share one adversarial set.
            network = attack.surrogate.build().build(replace(self.context, seed=0)).to(self.context.device)
            admit(network, data, self.context)
            self._surrogates[label] = (network, fingerprint(network))
            self.context.world.same(self._surrogates[label][1], f"the weights of surrogate {label}")
        return self._surrogates[label]

    def _warn_of_outside(self, attack: ResolvedAttack, positions: list[int], n: int) -> None:
        """Say which images of the attacker were outside its ball, and what became of them."""
        if positions:
            which = ", ".join(map(str, positions[:NAMED])) + (" and more" if len(positions) > NAMED else "")
            self.context.warn(f"{told_outside(attack, len(positions), n)}: {which}")

    def _warn_if_broken(self, surrogate: SurrogateRecord, n: int) -> None:
        halfway = (1 + 1 / len(self.context.dataset.class_names)) / 2
        if surrogate.clean_correct < halfway * n:
            self.context.warn(
                f"surrogate {surrogate.name} classifies only {100 * surrogate.clean_correct / n:.1f} % of the clean "
                "images correctly, so its attack says little; are its weights, normalisation and class order right?"
            )


def admit(network: nn.Module, data: ImageSet, context: RunContext) -> None:
    """Refuse a network that breaks its contract on the first images of `data`, before anything is done with it.

    Raises:
        PluginError: As :func:`robench.networks.entrance.enter` says.
    """
    images = to_pixels(data.images[:ENTERING], context.device)
    enter(network, images, len(context.dataset.class_names), context.warn)


def predictions(network: nn.Module, images: NDArray[np.uint8], context: RunContext, stage: str) -> NDArray[np.int64]:
    """Return the predicted class of each image, ``int64 (N,)``; a random network draws the same for each `stage`."""
    return _answers(network, images, None, context, stage).predictions


def answers(network: nn.Module, images: NDArray[np.uint8], data: ImageSet, context: RunContext, stage: str) -> Answers:
    """Return what `network` answers for versions of the images of `data`, as :func:`predictions` does."""
    return _answers(network, images, data.labels, context, stage)


def _answers(
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    context: RunContext,
    stage: str,
) -> Answers:
    with seeded(context.stream(stage), context.device):
        return answer(
            network,
            images,
            labels,
            n_classes=len(context.dataset.class_names),
            device=context.device,
            precision=context.precision.evaluation,
            report=context.report,
            warn=context.warn,
            stage=stage,
            world=context.world,
        )
