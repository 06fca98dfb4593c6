"""What checks measure on images, without any plugin: logits, gradients, noise and one gradient step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.contracts.types import ThreatModel
from robench.registry.constraints import constraint_of

RESAMPLED = 224
"""Height and width in pixels that most pretrained networks take."""
NORMALISATIONS = (
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
)
"""Usual means and standard deviations of the channels: ImageNet, CLIP, CIFAR-10, and 0.5."""


@torch.no_grad()
def disagreement(network: nn.Module, images: Tensor) -> tuple[int, float]:
    """Compare two passes over the same `images` ``(n, 3, H, W)``.

    Returns:
        The number of images whose prediction changes, and the largest change of a logit, relative to the largest logit.
    """
    return _compare(network(images), network(images))


@torch.no_grad()
def neighbours(network: nn.Module, images: Tensor) -> tuple[int, float]:
    """Compare a pass over the whole batch with a pass over the images in pairs; returns as :func:`disagreement`."""
    order = torch.arange(len(images), device=images.device).roll(len(images) // 2)
    apart = torch.cat([network(pair) for pair in images[order].split(2)])
    in_order = torch.empty_like(apart)
    in_order[order] = apart
    return _compare(network(images), in_order)


def input_gradient(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor | None:
    """Return the gradient of the cross-entropy by the pixels, ``(n, 3, H, W)``; None if it does not depend on them."""
    pixels = images.clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(pixels).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels, allow_unused=True) if loss.requires_grad else (None,)
    return gradient


def largest_by_image(gradient: Tensor | None, n: int) -> Tensor:
    """Return for each of `n` images the largest absolute gradient by a pixel, ``(n,)``; 0 without one."""
    return torch.zeros(n) if gradient is None else gradient.abs().flatten(1).amax(dim=1)


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return for each image the largest absolute gradient of the cross-entropy by a pixel, ``(n,)``; 0 without one."""
    return largest_by_image(input_gradient(network, images, labels), len(images))


def single_step(images: Tensor, gradient: Tensor | None, threat: ThreatModel) -> Tensor | None:
    """Return images one full step up the `gradient`: along its sign in Linf, along itself in L2.

    The images themselves without a gradient, None if the constraint knows no direction.

    Source: Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015 (FGSM).
    """
    if gradient is None:
        return images
    return constraint_of(threat).furthest(images, gradient, threat.eps)


def noise(images: Tensor, threat: ThreatModel) -> Tensor:
    """Return images with random noise as long as the ball allows: in Linf every pixel changes by epsilon."""
    return constraint_of(threat).noise(images, threat.eps)


def resampled(images: Tensor) -> Tensor:
    """Return images resized to ``RESAMPLED`` pixels and back, both times by antialiased bicubic interpolation."""
    for size in ((RESAMPLED, RESAMPLED), images.shape[-2:]):
        images = F.interpolate(images, tuple(size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return images


def renormalised(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield images with each usual normalisation taken back, and with it added, after the name of what was done."""
    for mean, deviation in NORMALISATIONS:
        shift, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
        text = f"a normalisation by mean {mean[0]:.3f}"
        yield f"{text} taken back", images * scale + shift
        yield f"{text} added", (images - shift) / scale


def _compare(first: Tensor, second: Tensor) -> tuple[int, float]:
    scale = first.abs().amax().clamp_min(1e-12)
    changed = int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
    return changed, float((first - second).abs().amax() / scale)


def are_probabilities(logits: Tensor) -> bool:
    """Return whether what a network returns, ``(n, K)``, are probabilities, as after a softmax."""
    sums = logits.detach().double().sum(dim=1)
    return bool((logits >= 0).all()) and bool(((sums - 1).abs() < 1e-2).all())


@torch.no_grad()
def random_search(
    network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, queries: int, first: int
) -> Tensor:
    """Return images perturbed at random, each change kept where it lowers the margin; needs no gradient.

    It starts from vertical stripes, or from noise where no direction means anything, and goes on as the constraint says
    in ``varied``: by squares in Linf and L2. An image that is wrong already is left alone. If the `first` queries break
    no image, the search ends there: large squares come first, and behind a mask they break some at once.

    Source: Andriushchenko et al., "Square Attack", ECCV 2020, section 3, with a shorter schedule; the L2 variant is
    simpler than theirs.
    """
    constraint, (n, channels, _, width) = constraint_of(threat), images.shape
    stripes = torch.randn(n, channels, 1, width, device=images.device).sign().expand_as(images)
    started = constraint.furthest(images, stripes, threat.eps)
    best = constraint.noise(images, threat.eps) if started is None else started
    lowest = _true_margin(network(best), labels)
    untouched = _true_margin(network(images), labels)
    best = torch.where((untouched < lowest).view(-1, 1, 1, 1), images, best)
    lowest, right = torch.minimum(lowest, untouched), int((untouched > 0).sum())
    for query in range(queries - 2):
        left = torch.nonzero(lowest > 0).flatten()
        if not len(left) or (query + 2 == first and len(left) == right):
            break
        tried = constraint.varied(images[left], best[left], threat.eps, 0.5 * 0.5 ** (6 * query / queries))
        margin = _true_margin(network(tried), labels[left])
        better = margin < lowest[left]
        best[left[better]], lowest[left[better]] = tried[better], margin[better]
    return best


def _true_margin(logits: Tensor, labels: Tensor) -> Tensor:
    own = logits.gather(1, labels[:, None])[:, 0]
    return own - logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
