"""Checks of the network itself: whether gradients and predictions mean what attacks take them for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from robench.checks import probes
from robench.checks.judge import SIGNIFICANT, Subject, check, graded, weaker
from robench.records.record import Check

MOVED = (1e-3, 1e-2)
"""Change of a logit, relative to the largest, from which to warn, and to fail; rounding explains less."""
WITHOUT_GRADIENT = (0.05, 0.50)
"""Share of images without a gradient from which to warn, and to fail."""
RENAMED = 0.30
"""Share of images that another order of the classes would have to win for labels to count as shifted."""


def check_network(subject: Subject) -> Iterator[Check]:
    """Yield ``determinism``, two passes agree; ``batch neighbours``, images do not change each other's logits; and
    ``gradients``, the loss has one for nearly every image.
    """
    images, labels = subject.tensors()
    changed, size = probes.disagreement(subject.network, images)
    yield check(
        "determinism",
        "fail" if changed else graded(size, MOVED),
        f"two passes predict {changed} of {len(images)} images otherwise; a logit changes by {size:.1e} of the largest"
        + ("; attack the mean over its randomness (expectation over transformation)" if size > MOVED[0] else ""),
    )
    changed, size = probes.neighbours(subject.network, images)
    yield check(
        "batch neighbours",
        "fail" if changed else graded(size, MOVED),
        f"beside other images {changed} of {len(images)} are predicted otherwise, and a logit changes by {size:.1e} of "
        "the largest" + ("; is a batch norm in training mode?" if size > MOVED[0] else ""),
    )
    largest = probes.gradients(subject.network, images, labels)
    if not bool(torch.isfinite(largest).all()):
        yield check("gradients", "fail", "some are NaN or infinite")
        return
    share = float((largest == 0).float().mean())
    yield check(
        "gradients",
        graded(share, WITHOUT_GRADIENT),
        f"{100 * share:.0f} % of {len(images)} images have none"
        + ("; white-box attacks cannot work there (masked or saturated)" if share > WITHOUT_GRADIENT[0] else ""),
    )


def check_normalisation(subject: Subject) -> Check:
    """See that images do no better with a normalisation taken back, or added, than as they are."""
    images, labels = subject.tensors()
    plain = subject.right(subject.data.images)
    others = {
        name: (found == labels).cpu().numpy() for name, found in probes.renormalised(subject.network, images).items()
    }
    best = max(others, key=lambda name: float(others[name].mean()))
    wrong = weaker(plain, others[best], SIGNIFICANT / len(others))
    return check(
        "normalisation",
        "fail" if wrong else "pass",
        f"{100 * plain.mean():.0f} % are right, {100 * others[best].mean():.0f} % with {best}"
        + ("; is that done twice, or left out?" if wrong else ""),
    )


def check_labels(predictions: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int) -> Check:
    """Tell a model that knows the classes under other labels from one that does not know them."""
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predictions, labels=np.arange(n_classes))
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
