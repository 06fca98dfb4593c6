"""The losses that PGD raises, as papers write them."""

from __future__ import annotations

from typing import Literal

import torch
from robench import SpecError
from torch import Tensor
from torch.nn import functional as F

Loss = Literal["ce", "margin", "dlr", "kl"]
LEAST_CLASSES: dict[str, tuple[int, int]] = {"ce": (1, 2), "margin": (2, 2), "dlr": (3, 4), "kl": (2, 2)}
"""Classes that each loss needs, untargeted and targeted."""


def untargeted(loss: Loss, logits: Tensor, labels: Tensor, clean: Tensor, kappa: float) -> Tensor:
    """Return for each image the loss that leads away from its label, ``(N,)``.

    - ``ce``: the cross-entropy.
    - ``margin``: ``-max(z_y - max_(i != y) z_i, -kappa)``. Source: Carlini and Wagner, IEEE S&P 2017
      (arXiv:1608.04644), section V-A, f6 untargeted; TeCoA's code has it as ``-relu(z_y - max z_i + kappa)``, which is
      the same less the constant kappa.
    - ``dlr``: ``-(z_y - max_(i != y) z_i) / (z_p1 - z_p3)`` with logits in falling order. Source: Croce and Hein, ICML
      2020 (arXiv:2003.01690), equation 6.
    - ``kl``: ``KL(p(x) || p(x'))`` with p(x) of the clean image, no labels. Source: Zhang et al., ICML 2019
      (arXiv:1901.08573), algorithm 1.

    Args:
        logits: ``(N, n_classes)`` of the perturbed images.
        clean: ``(N, n_classes)`` of the clean images.
    """
    if loss == "ce":
        return F.cross_entropy(logits, labels, reduction="none")
    if loss == "kl":
        now, then = logits.log_softmax(dim=1), clean.log_softmax(dim=1)
        return F.kl_div(now, then, reduction="none", log_target=True).sum(dim=1)
    ahead = margins(logits, labels)
    if loss == "margin":
        return -ahead.clamp_min(-kappa)
    order = logits.topk(3, dim=1).values
    return -ahead / (order[:, 0] - order[:, 2] + 1e-12)


def targeted(loss: Loss, logits: Tensor, labels: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """Return for each image the loss that leads to its target class, ``(N,)``.

    - ``ce``: minus the cross-entropy of the target.
    - ``margin``: ``-max(max_(i != t) z_i - z_t, -kappa)``. Source: Carlini and Wagner, equation 4 of section VI-A.
    - ``dlr``: ``-(z_y - z_t) / (z_p1 - (z_p3 + z_p4) / 2)``. Source: Croce and Hein, equation 7.
    """
    if loss == "ce":
        return -F.cross_entropy(logits, targets, reduction="none")
    if loss == "margin":
        return -(-margins(logits, targets)).clamp_min(-kappa)
    order = logits.topk(4, dim=1).values
    ahead = logits.gather(1, labels[:, None]) - logits.gather(1, targets[:, None])
    return -ahead[:, 0] / (order[:, 0] - (order[:, 2] + order[:, 3]) / 2 + 1e-12)


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logit of each image's class minus the largest other logit, ``(N,)``."""
    own = logits.gather(1, classes[:, None]).squeeze(1)
    return own - logits.scatter(1, classes[:, None], float("-inf")).amax(dim=1)


def require(loss: Loss, n_classes: int, *, to_target: bool) -> None:
    """Check that a network has the classes that a loss needs.

    Raises:
        SpecError: It has fewer.
    """
    least = LEAST_CLASSES[loss][to_target]
    if n_classes < least:
        raise SpecError(f"loss={loss} needs at least {least} classes (the network has {n_classes}); use loss=margin")


def chosen(target: str | int, clean: Tensor, labels: Tensor) -> Tensor:
    """Return the target class of each image, ``int64 (N,)``.

    Args:
        target: ``least-likely``: the wrong class of the lowest logit (Kurakin, Goodfellow and Bengio, ICLR 2017,
            arXiv:1611.01236); ``random``: any wrong class; ``next``: the class after the label, and the first after the
            last; or a class, which may be the label of some images.
        clean: ``(N, n_classes)``, the logits of the clean images.
    """
    n = clean.shape[1]
    if isinstance(target, int):
        return torch.full_like(labels, target)
    if target == "next":
        return (labels + 1) % n
    if target == "random":
        return (labels + 1 + torch.randint(n - 1, labels.shape, device=labels.device)) % n
    return clean.scatter(1, labels[:, None], float("inf")).argmin(dim=1)
