"""Checks of the network alone: do its gradients and predictions mean what an attack takes them for?"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.checks import probes
from robench.checks.verdict import SIGNIFICANT, Subject, check, graded, significantly_more
from robench.records.record import Check
from robench.statistics.intervals import Mask

MOVED = (1e-3, 1e-2)
"""Change of a logit, relative to the largest, above which to warn and to fail; rounding explains less than this."""
WITHOUT_GRADIENT = (0.05, 0.50)
"""Share of images without a gradient above which to warn and to fail."""
RENAMED = 0.30
"""Share of images that another order of the classes must win before labels count as shifted."""


def determinism(subject: Subject) -> Check:
    """Compare two passes over the same images. A failure means a random defence that does not say so."""
    images, _ = subject.tensors()
    changed, size = probes.disagreement(subject.network, images)
    if subject.random:
        reason = f"the defence is random, as it says: two passes predict {changed} of {len(images)} images otherwise"
        return check("determinism", "pass", reason)
    return check(
        "determinism",
        "fail" if changed else graded(size, MOVED),
        f"two passes predict {changed} of {len(images)} images otherwise; a logit changes by {size:.1e} of the largest"
        + ("; attack the mean over its randomness (expectation over transformation)" if size > MOVED[0] else ""),
    )


def batch_neighbours(subject: Subject) -> Check | None:
    """Compare a batch with the same images beside others. A failure means that images change each other's logits."""
    if subject.random:
        return None
    images, _ = subject.tensors()
    changed, size = probes.neighbours(subject.network, images)
    return check(
        "batch neighbours",
        "fail" if changed else graded(size, MOVED),
        f"beside other images {changed} of {len(images)} are predicted otherwise, and a logit changes by {size:.1e} of "
        "the largest" + ("; is a batch norm in training mode?" if size > MOVED[0] else ""),
    )


def gradients(subject: Subject) -> Check:
    """Count the images whose loss has a gradient at the pixels. Without one, white-box attacks cannot work."""
    largest = probes.largest_by_image(subject.gradient, len(subject.data))
    if not bool(torch.isfinite(largest).all()):
        return check("gradients", "fail", "some images have a NaN or infinite gradient")
    n, some = len(largest), int((largest != 0).sum())
    share = float((largest == 0).float().mean())
    if some == n:
        reason = f"every image has a non-zero gradient ({n} of {n})"
    else:
        reason = f"{some} of {n} images have a non-zero gradient"
    if share > WITHOUT_GRADIENT[0]:
        reason += "; white-box attacks cannot work on the others (masked or saturated)"
    return check("gradients", graded(share, WITHOUT_GRADIENT), reason)


def normalisation(subject: Subject) -> Check:
    """See that images do no better with a usual normalisation taken back, or added, than as they are.

    A failure means that the network normalises twice, or not at all. The second half of the sample is only looked at
    where more of the first half is right than without the change.
    """
    images, labels = subject.tensors()
    plain, half = subject.right(subject.data.images), (len(images) + 1) // 2

    @torch.no_grad()
    def right(changed: Tensor, part: slice) -> Mask:
        found: Mask = (subject.network(changed[part]).argmax(dim=1) == labels[part]).cpu().numpy()
        return found

    def gain(mask: Mask) -> int:
        return int(mask.sum()) - int(plain[: len(mask)].sum())

    others = {}
    for name, changed in probes.renormalised(images):
        others[name] = right(changed, slice(half))
        if gain(others[name]) > 0 and half < len(images):
            others[name] = np.concatenate([others[name], right(changed, slice(half, None))])
    best = max(others, key=lambda name: gain(others[name]) / len(others[name]))
    found, before = others[best], plain[: len(others[best])]
    wrong = significantly_more(found, than=before, level=SIGNIFICANT / len(others))
    return check(
        "normalisation",
        "fail" if wrong else "pass",
        f"{100 * before.mean():.0f} % of {len(found)} are right, {100 * found.mean():.0f} % with {best}"
        + ("; is that done twice, or left out?" if wrong else ""),
    )


def check_labels(predictions: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int) -> Check:
    """Compare the accuracy on all scored images with that under the best renaming of the classes, and with chance.

    A failure means that labels are shifted or in another order.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binomtest

    counts = np.bincount(labels * n_classes + predictions, minlength=n_classes**2).reshape(n_classes, n_classes)
    right, n = int(np.trace(counts)), len(labels)
    renamed = int(counts[linear_sum_assignment(counts, maximize=True)].sum())
    if renamed - right > RENAMED * n:
        return check(
            "labels",
            "fail",
            f"{100 * right / n:.0f} % are right, and {100 * renamed / n:.0f} % would be if the classes were in another "
            "order: labels shifted?",
        )
    p = float(binomtest(right, n, 1 / n_classes, alternative="greater").pvalue)
    above = f"{100 * right / n:.0f} % right of {n}, {'' if p < SIGNIFICANT else 'not '}above chance"
    return check("labels", "pass" if p < SIGNIFICANT else "warn", above)
