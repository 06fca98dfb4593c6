"""What all checks share: the sample, and how a figure becomes a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.contracts.context import RunContext
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.evaluate import predict
from robench.records.record import Check, Verdict
from robench.statistics.intervals import Mask, paired

SIGNIFICANT = 0.01
"""Of a difference in the wrong direction, image by image."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is certified: the tuned network and a sample of the scored images."""

    network: nn.Module
    data: ImageSet
    context: RunContext

    def right(self, images: NDArray[np.uint8]) -> Mask:
        """Return which of `images`, versions of the sample, are classified correctly."""
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
        """Return the sample as pixels and labels on the device."""
        device = self.context.device
        return to_pixels(self.data.images, device), torch.from_numpy(self.data.labels).to(device)


def weaker(first: Mask, second: Mask, level: float = SIGNIFICANT) -> bool:
    """Return whether significantly more images are right in `second`, which ought to be the harder."""
    found = paired(first, second)
    return found.difference > 0 and found.p < level


def no_weaker(name: str, label: str, found: Mask, other: Mask, what: str, why: str = "") -> Check:
    """Fail if `other`, which knows less, leaves significantly fewer images right than the attack did.

    Args:
        name: Of the check.
        label: Of the attack.
        found: Which images withstood the attack, ``bool (n,)``.
        other: Which withstood `what`.
        what: The weaker adversary.
        why: What may be the matter.
    """
    wrong = weaker(other, found)
    reason = f"{what} leaves {100 * other.mean():.0f} % right, the attack {100 * found.mean():.0f} %, of {len(found)}"
    return check(name, "fail" if wrong else "pass", f"{reason}; {why}" if wrong and why else reason, label)


def graded(share: float, limits: tuple[float, float]) -> Verdict:
    """Return warn above the first limit, fail above the second."""
    return "fail" if share > limits[1] else "warn" if share > limits[0] else "pass"


def check(name: str, result: Verdict, reason: str, attack: str = "") -> Check:
    """Return a check of the network, or of `attack`."""
    return Check(name=name, attack=attack, verdict=result, reason=reason)
