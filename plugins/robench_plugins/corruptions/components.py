"""The corruptions, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.corruptions"
_PAPER = (
    "Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, "
    "ICLR 2019 (arXiv:1903.12261)"
)


def _corruption(name: str, target: str, summary: str) -> Component:
    return Component(kind="corruption", name=name, target=f"{_HERE}.{target}", summary=summary, reference=_PAPER)


CORRUPTIONS: list[Component] = [
    _corruption("common", "common:Common", "noise, blur, weather and digital: 15 corruptions, or 19, made on the spot"),
    _corruption("cifar-c", "files:CifarC", "CIFAR-10-C or CIFAR-100-C from its files: cifar-c:path=DIR"),
    _corruption("imagenet-c", "files:ImageNetC", "ImageNet-C, or a set of its layout, from files: imagenet-c:path=DIR"),
]
