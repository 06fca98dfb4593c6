"""FGSM with momentum and gradients of images whose spectra are changed at random."""

from __future__ import annotations

import math
from functools import cache

import torch
from robench import Field
from torch import Tensor, nn

from robench_plugins.attackers.momentum import MomentumAttack, TransferParams, loss_gradient


class SSAParams(TransferParams):
    """Parameters of the spectrum simulation attack; the defaults are the paper's."""

    spectra: int = Field(default=20, ge=1, description="changed copies of each image at a step, N in the paper")
    rho: float = Field(
        default=0.5, ge=0, le=1, description="how much frequencies are scaled: by factors from 1 - rho to 1 + rho"
    )
    noise: float = Field(
        default=1.0, ge=0, description="standard deviation of the noise before, in units of eps, sigma in the paper"
    )


class SSA(MomentumAttack):
    """As MI-FGSM, with the mean gradient at images ``idct(dct(x + noise) * mask)``, the mask uniform around 1.

    Source: Long et al., "Frequency domain model augmentation for adversarial attack", ECCV 2022 (arXiv:2207.05382),
    equation 7 and algorithm 1 with the authors' code: the gradient is that by the changed image, and the noise is as
    strong as the radius. TransferAttack calls it SSM. The authors' code has no momentum by default (``decay=0``).
    """

    Params = SSAParams
    params: SSAParams

    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean gradient at the changed images."""
        total = torch.zeros_like(images)
        for _ in range(self.params.spectra):
            seen = self.changed(images).requires_grad_()
            total += loss_gradient(network, seen, labels, seen)
        return total / self.params.spectra

    def changed(self, images: Tensor) -> Tensor:
        """Return the images with noise and with their frequencies scaled at random."""
        noisy = images + self.params.noise * float(self.params.eps) * torch.randn_like(images)
        rows, columns = (cosines(size, images.device, images.dtype) for size in images.shape[-2:])
        mask = 1 + self.params.rho * (2 * torch.rand_like(images) - 1)
        spectrum: Tensor = rows @ noisy @ columns.T * mask
        return rows.T @ spectrum @ columns


@cache
def cosines(size: int, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the orthonormal DCT-II matrix ``(size, size)``; its transpose is its inverse."""
    frequency, place = torch.arange(size).double()[:, None], torch.arange(size).double()[None]
    matrix = math.sqrt(2 / size) * torch.cos(math.pi * frequency * (place + 0.5) / size)
    matrix[0] /= math.sqrt(2)
    return matrix.to(device, dtype)
