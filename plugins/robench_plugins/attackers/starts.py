"""Start an attack several times, on the images that still withstand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from robench_plugins.attackers.losses import margins


class Lowest:
    """The points with the smallest margins of those that are shown to it, one for each image.

    Attributes:
        points: ``(N, 3, H, W)``; the images themselves at first.
        margins: ``float32 (N,)``; infinite at first.
    """

    def __init__(self, images: Tensor) -> None:
        self.points = images.clone()
        self.margins = torch.full((len(images),), float("inf"), device=images.device)

    def keep(self, points: Tensor, margin: Tensor) -> None:
        """Keep those of `points` whose margins are smaller than all before."""
        margin = margin.to(self.margins.dtype)
        better = margin < self.margins
        self.points[better], self.margins[better] = points.detach()[better], margin[better]


def best_of_starts(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    starts: int,
    attempt: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
) -> Tensor:
    """Return for each image the point with the smallest margin of all starts, and of the image itself.

    Images that fell are not tried again, and those that are wrong clean are returned as they are.

    Args:
        attempt: From some of `images`, their labels and the number of the start to points and the margins of their
            logits, ``(M,)``.
    """
    with torch.no_grad():
        best, lowest = images.clone(), margins(network(images), labels)
    for start in range(starts):
        left = (lowest >= 0).nonzero().flatten()
        if not len(left):
            break
        found, margin = attempt(images[left], labels[left], start)
        better = margin < lowest[left]
        best[left[better]], lowest[left[better]] = found[better], margin[better].to(lowest.dtype)
    return best
