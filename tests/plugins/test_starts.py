"""Attacks that start several times: what is wrong already stays as it is."""

from __future__ import annotations

import pytest
import torch
from robench.registry.registry import discover
from torch import Tensor, nn


class RightIfChanged(nn.Module):
    """Wrong on the images it was made with, and right on all others: class 0, by how far they are from those."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def forward(self, images: Tensor) -> Tensor:
        away = (images[:, None] - self.images[None]).abs().flatten(2).sum(dim=2).amin(dim=1)
        return torch.stack([away - 1e-3, torch.zeros_like(away)], dim=1)


@pytest.mark.parametrize("text", ["pgd-l0:eps=4", "patch-pgd:eps=3", "colour-fw", "spatial-pgd"])
def test_an_image_that_is_wrong_clean_is_returned_as_it_is(text: str) -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    attack = discover().resolve_attack(text).build()
    torch.manual_seed(0)
    assert torch.equal(attack.perturb(RightIfChanged(images), images, torch.zeros(3, dtype=torch.int64)), images)
