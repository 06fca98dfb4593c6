"""FGSM with momentum and gradients of images whose blocks are changed one by one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from robench import Field
from torch import Tensor, nn

from robench_plugins.attackers.momentum import MomentumAttack, TransferParams, mean_gradient

NOISE = 16 / 255
"""Most noise of a block, in ``[0, 1]`` pixel units."""


class SIAParams(TransferParams):
    """Parameters of SIA; the defaults are the paper's."""

    copies: int = Field(default=20, ge=1, description="changed copies of each image at a step, N in the paper")
    blocks: int = Field(default=3, ge=1, description="blocks along each side, s in the paper")


class SIA(MomentumAttack):
    """As MI-FGSM, with the mean gradient of images cut into blocks, each shifted, flipped, turned, scaled or noisy.

    Source: Wang, Zhang and Zhang, "Structure invariant transformation for better adversarial transferability", ICCV
    2023 (arXiv:2309.14700), section 3.3. Deviation: the seven changes of TransferAttack's code, without the paper's
    resizing, cut in the spectrum and dropout.
    """

    Params = SIAParams
    params: SIAParams

    def gradient(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean gradient of the changed images."""
        blocks, copies = self.params.blocks, self.params.copies
        return mean_gradient(network, images, labels, [lambda points: changed(points, blocks)] * copies)


def changed(images: Tensor, blocks: int) -> Tensor:
    """Return the images, all cut alike into `blocks` times `blocks` parts, which are changed at random."""
    rows = [
        torch.cat(
            [_CHANGES[_draw(len(_CHANGES))](part) for part in row.split(_sizes(images.shape[3], blocks), dim=3)], 3
        )
        for row in images.split(_sizes(images.shape[2], blocks), dim=2)
    ]
    return torch.cat(rows, dim=2)


def _sizes(length: int, blocks: int) -> list[int]:
    """Return the sizes of `blocks` parts of a side, or of as many as it has pixels, cut at random."""
    cuts = torch.randperm(length - 1)[: min(blocks, length) - 1].sort().values.tolist()
    ends = [0, *(cut + 1 for cut in cuts), length]
    return [end - start for start, end in pairwise(ends)]


def _draw(below: int) -> int:
    return int(torch.randint(below, ()))


_CHANGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda part: part.roll(_draw(part.shape[2]), dims=2),
    lambda part: part.roll(_draw(part.shape[3]), dims=3),
    lambda part: part.flip(2),
    lambda part: part.flip(3),
    lambda part: part.rot90(2, (2, 3)),
    lambda part: part * float(torch.rand(())),
    lambda part: (part + torch.empty_like(part).uniform_(-NOISE, NOISE)).clamp(0, 1),
)
