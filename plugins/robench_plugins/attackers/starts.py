"""Start an attack several times, on the images that still withstand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from robench_plugins.attackers.losses import margins


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
