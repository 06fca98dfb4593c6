"""The network under test and its sample of images, and how a figure becomes pass, warn or fail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.checks import probes
from robench.contracts.context import RunContext
from robench.images.image_set import ImageSet, to_bytes, to_pixels
from robench.networks.defended import Defended
from robench.networks.evaluate import predict
from robench.records.record import Check, Verdict
from robench.statistics.intervals import Mask

SIGNIFICANT = 0.01
"""Level of the tests that compare two results image by image."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is certified: the tuned network, on a sample of the scored images."""

    network: nn.Module
    data: ImageSet
    context: RunContext

    @property
    def random(self) -> bool:
        """Whether the network has a defence that says that its answers are random."""
        return isinstance(self.network, Defended) and self.network.stochastic

    def right(self, images: NDArray[np.uint8]) -> Mask:
        """Return which of `images`, versions of the sample ``uint8 (n, 3, H, W)``, are classified correctly."""
        found = predict(
            self.network,
            images,
            n_classes=len(self.context.dataset.class_names),
            device=self.context.device,
            precision=self.context.precision.evaluation,
        )
        right: Mask = found == self.data.labels[: len(images)]
        return right

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return the sample on the device: pixels ``float32 (n, 3, H, W)`` in ``[0, 1]`` and labels ``int64 (n,)``."""
        device = self.context.device
        return to_pixels(self.data.images, device), torch.from_numpy(self.data.labels).to(device)

    @cached_property
    def gradient(self) -> Tensor | None:
        """The gradient of the cross-entropy by the pixels, ``float32 (n, 3, H, W)``; None if it depends on none."""
        return probes.input_gradient(self.network, *self.tensors())

    @cached_property
    def right_resampled(self) -> Mask:
        """Which images of the sample are classified correctly after a resize and back, ``bool (n,)``."""
        return self.right(to_bytes(probes.resampled(self.tensors()[0])))


def significantly_more(right: Mask, *, than: Mask, level: float = SIGNIFICANT) -> bool:
    """Return whether `right` has more images than `than`, by the exact one-sided sign test on the same images."""
    from scipy.stats import binomtest

    more, fewer = int((right & ~than).sum()), int((than & ~right).sum())
    return more > fewer and bool(binomtest(more, more + fewer, 0.5, alternative="greater").pvalue < level)


def must_beat(name: str, attack: str, withstood: Mask, other: Mask, what: str, hint: str = "") -> Check:
    """Return a check that fails if an attack leaves significantly more images right than a weaker adversary does.

    Args:
        name: The check's name.
        attack: The attack's label.
        withstood: Which images are right under the attack, ``bool (n,)``.
        other: Which images are right under the weaker adversary, ``bool (n,)``.
        what: What the weaker adversary is called.
        hint: What a failure often means.
    """
    fails = significantly_more(withstood, than=other)
    n, left = len(withstood), 100 * withstood.mean()
    reason = f"{what} leaves {100 * other.mean():.0f} % right, the attack {left:.0f} %, of {n}"
    return check(name, "fail" if fails else "pass", f"{reason}; {hint}" if fails and hint else reason, attack)


def graded(share: float, limits: tuple[float, float]) -> Verdict:
    """Return ``warn`` if `share` is above the first limit, ``fail`` if it is above the second."""
    return "fail" if share > limits[1] else "warn" if share > limits[0] else "pass"


def check(name: str, verdict: Verdict, reason: str, attack: str = "") -> Check:
    """Return the result of a check of the network or, with its label, of an attack."""
    return Check(name=name, attack=attack, verdict=verdict, reason=reason)
