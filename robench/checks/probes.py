"""What a network gives away of itself on a few images, without any attack of a plugin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.contracts.types import ThreatModel

RESAMPLED = 224
"""Pixels, what most pretrained networks see."""
NORMALISATIONS = (
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
)
"""Mean and deviation by channel that networks are published with: ImageNet, CLIP, CIFAR-10, and half."""


@torch.no_grad()
def disagreement(network: nn.Module, images: Tensor) -> tuple[int, float]:
    """Return on how many of `images` two passes predict otherwise, and the largest relative change of a logit."""
    return _compare(network(images), network(images))


@torch.no_grad()
def neighbours(network: nn.Module, images: Tensor) -> tuple[int, float]:
    """Return the same between a whole batch and the images in pairs, each beside another neighbour."""
    order = torch.arange(len(images), device=images.device).roll(len(images) // 2)
    apart = torch.cat([network(pair) for pair in images[order].split(2)])
    alone = torch.empty_like(apart)
    alone[order] = apart
    return _compare(network(images), alone)


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the largest gradient of the cross-entropy by a pixel of each image, ``(N,)``; 0 where there is none."""
    pixels = images.clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(pixels).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels, allow_unused=True) if loss.requires_grad else (None,)
    return torch.zeros(len(images)) if gradient is None else gradient.abs().flatten(1).amax(dim=1)


def single_step(network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
    """Return images one full step up the gradient: FGSM (Goodfellow et al. 2015), in L2 along the gradient itself."""
    pixels = images.clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(pixels).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels, allow_unused=True) if loss.requires_grad else (None,)
    if gradient is None:
        return images
    direction = gradient.sign() if threat.norm == "Linf" else _unit(gradient)
    return (images + float(threat.eps) * direction).clamp(0, 1)


def noise(images: Tensor, threat: ThreatModel) -> Tensor:
    """Return images with random noise that is as long as the ball allows: a corner of it in Linf."""
    direction = torch.randn_like(images)
    direction = direction.sign() if threat.norm == "Linf" else _unit(direction)
    return (images + float(threat.eps) * direction).clamp(0, 1)


def resampled(images: Tensor) -> Tensor:
    """Return images that were resized to ``RESAMPLED`` pixels and back, both by antialiased bicubic interpolation."""
    sizes = ((RESAMPLED, RESAMPLED), images.shape[-2:])
    for size in sizes:
        images = F.interpolate(images, tuple(size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return images


@torch.no_grad()
def renormalised(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return predictions ``(N,)`` on images with a normalisation taken back, and with one added."""
    found = {}
    for mean, deviation in NORMALISATIONS:
        shift, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
        text = f"a normalisation by mean {mean[0]:.3f}"
        found[f"{text} taken back"] = network(images * scale + shift).argmax(dim=1)
        found[f"{text} added"] = network((images - shift) / scale).argmax(dim=1)
    return found


def _unit(direction: Tensor) -> Tensor:
    return F.normalize(direction.flatten(1)).view_as(direction)


def _compare(first: Tensor, second: Tensor) -> tuple[int, float]:
    scale = first.abs().amax().clamp_min(1e-12)
    changed = int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
    return changed, float((first - second).abs().amax() / scale)
